"""`initbench compare-published`: the results of a suite beside those of the papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import load_from_options, results_option, suite_options
from initbench.cli.published_tables import show_published
from initbench.cli.results import run_manifest
from initbench.cli.terminal import Terminal
from initbench.errors import UserError

if TYPE_CHECKING:
    from initbench.suite.load import LoadedSuite


@click.command(
    epilog="""\b
Examples:
  initbench compare-published convergence_accuracy
  initbench compare-published convergence_accuracy --profile laptop --format json
"""
)
@suite_options
@results_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print them.",
)
@click.pass_obj
def compare_published(terminal: Terminal, /, results: Path, form: str, **options: Any) -> None:
    """Lay the results of a suite beside the published ones.

    Trains nothing. SUITE is the name of a bundled suite or the path of a suite file; what it
    repeats is under its key `published`.
    """
    from initbench.plugin.registry import Registry
    from initbench.reporting import published_to_json, results_of
    from initbench.store.store import Store

    loaded = load_from_options(**options)
    _check_links(loaded)
    store = Store(results)
    manifest = run_manifest(terminal, store, loaded)
    if not manifest.published:
        raise UserError(
            f"`{loaded.name}` was run before it said under `published` what it repeats; "
            f"`{loaded.command}` brings it up to date and trains nothing twice"
        )
    found = results_of(store, manifest, Registry.installed())
    if form == "json":
        terminal.print_json(published_to_json(found))
    else:
        show_published(terminal, found)


def _check_links(loaded: LoadedSuite) -> None:
    if not loaded.suite.published:
        raise UserError(
            f"{loaded.origin}: `{loaded.name}` repeats nothing published; a key `published` says "
            "which experiments it does, for example `published: [convergence_speed]` "
            "(docs/published.md)"
        )
