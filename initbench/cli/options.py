"""Options that several commands share, in one place so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.suite.load import LoadedSuite

Command = TypeVar("Command", bound=Callable[..., Any])

_CHANGES = (
    click.option("--profile", metavar="NAME", help="Apply a profile of the suite, such as smoke."),
    click.option(
        "--set",
        "overrides",
        metavar="PATH=VALUE",
        multiple=True,
        help="Change one value, such as recipe.epochs=3; may be repeated.",
    ),
)
_SELECTION = (
    click.option(
        "--seeds",
        metavar="SEEDS",
        help="Replace the seeds: how many (5), which ones (0,3,7) or a range (0-9).",
    ),
    click.option(
        "--only",
        metavar="KIND=NAMES",
        multiple=True,
        help="Leave out all others, such as initialiser=he,xavier (KIND: initialiser, model, "
        "dataset or seed); may be repeated.",
    ),
)


def suite_options(command: Command) -> Command:
    """Add the argument SUITE and `--profile`, `--set`, `--seeds` and `--only`.

    Their values belong together: pass them on as `load_from_options(**options)`.
    """
    for option in reversed(_CHANGES + _SELECTION):
        command = option(command)
    return click.argument("suite")(command)


def results_option(command: Command) -> Command:
    """Add `--results`, the folder in which records are kept."""
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("results"),
        show_default=True,
        envvar="INITBENCH_RESULTS",
        help="Folder of records, tables and the page  [env: INITBENCH_RESULTS]",
    )(command)


def resource_options(command: Command) -> Command:
    """Add `--device`, `--workers`, `--devices-per-trial` and `--stack`: what a run may use."""
    device = click.option(
        "--device",
        default="auto",
        show_default=True,
        envvar="INITBENCH_DEVICE",
        help="`auto`, `cpu`, `cuda` (all GPUs) or `cuda:N`  [env: INITBENCH_DEVICE]",
    )
    workers = click.option(
        "--workers",
        type=click.IntRange(min=0),
        envvar="INITBENCH_WORKERS",
        help="Worker processes; 0 trains in this process  [default: one a core or GPU; "
        "env: INITBENCH_WORKERS]",
    )
    devices_per_trial = click.option(
        "--devices-per-trial",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        envvar="INITBENCH_DEVICES_PER_TRIAL",
        help="GPUs or cores that share the batches of one trial, for large networks  "
        "[env: INITBENCH_DEVICES_PER_TRIAL]",
    )
    stack = click.option(
        "--stack/--no-stack",
        default=None,
        envvar="INITBENCH_STACK",
        help="Train trials of one kind together where that is faster; their last bits then depend "
        "on each other  [default: on a CPU from 20 of a kind on; env: INITBENCH_STACK]",
    )
    return device(workers(devices_per_trial(stack(command))))


def load_from_options(
    suite: str,
    profile: str | None,
    overrides: tuple[str, ...],
    seeds: str | None,
    only: tuple[str, ...],
) -> LoadedSuite:
    """Load the suite that `suite_options` describe, and say what to know about the choice."""
    from initbench.suite.load import load_suite

    loaded = load_suite(suite, profile=profile, overrides=overrides, seeds=seeds, only=only)
    if terminal := click.get_current_context().find_object(Terminal):
        for note in loaded.notes:
            terminal.warning(note)
    return loaded
