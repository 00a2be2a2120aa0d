"""`initbench bench training`: steps of training, beside a plain PyTorch loop."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.bench_options import format_option, number, progress
from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.bench.tasks import Task
    from initbench.bench.training import TrainingFigures

_QUICK: dict[str, Any] = {"repeats": 3, "seconds": 0.25, "stacks": [25]}


def _listed(ctx: click.Context, option: click.Parameter, value: str | None) -> list[str] | None:
    """Take a comma-separated list."""
    return None if value is None else [word.strip() for word in value.split(",") if word.strip()]


def _sizes(ctx: click.Context, option: click.Parameter, value: str | None) -> list[int] | None:
    words = _listed(ctx, option, value)
    if words is None:
        return None
    if not all(word.isdecimal() and int(word) > 1 for word in words):
        raise click.BadParameter(f"expected sizes from 2, with commas between them, got `{value}`")
    return [int(word) for word in words]


@click.command(
    epilog="""\b
Examples:
  initbench bench training --quick
  initbench bench training --tasks zoo_cnn_10 --stacks 25 --repeats 2
  initbench bench training --model mlp --dataset mnist --batch-size 64
  initbench bench training --device cuda
"""
)
@click.option(
    "--tasks",
    metavar="NAME,...",
    callback=_listed,
    help="Out of zoo_cnn_128, zoo_cnn_10 and resnet20_128.  [default: all]",
)
@click.option("--model", metavar="NAME", help="Train this model instead; needs `--dataset`.")
@click.option("--dataset", metavar="NAME", help="Data set of `--model`.")
@click.option("--recipe", metavar="NAME", help="Recipe of `--model`.  [default: of Harder 2023]")
@number("--batch-size", "Images in a batch of `--model`.", 128)
@click.option(
    "--stacks",
    metavar="SIZE,...",
    callback=_sizes,
    help="Networks in a stack.  [default: those that a task has time for]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes at once on a CPU.  [default: one a core, 16 at most]",
)
@number("--repeats", "How often each side is timed.", 5)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    help="About how long a side trains each time.",
)
@click.option("--quick", is_flag=True, help="As `--repeats 3 --seconds 0.25 --stacks 25`.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@format_option
@click.pass_obj
def training(
    terminal: Terminal,
    /,
    tasks: list[str] | None,
    model: str | None,
    dataset: str | None,
    recipe: str | None,
    batch_size: int,
    quick: bool,
    device: str,
    form: str,
    **options: Any,
) -> None:
    """Time training, alone and in stacks, beside a plain PyTorch loop.

    Speeds are images a second, times the networks that are trained at once. They are remembered:
    `initbench plan` uses them for its estimates. With all tasks two cores take some six minutes,
    with `--quick` half of that.
    """
    from initbench.bench.training import training_figures
    from initbench.execution.devices import slots
    from initbench.execution.run import data_root

    if (model is None) != (dataset is None) or (tasks is not None and model is not None):
        raise click.UsageError("expected `--tasks`, or `--model` and `--dataset`, or none of them")
    if recipe is not None and model is None:
        raise click.UsageError("`--recipe` belongs to `--model`; each of the tasks has its own")
    if model is None or dataset is None:
        chosen = _chosen(tasks)
    else:
        chosen = [_made_up(model, dataset, batch_size, recipe)]
    found = training_figures(
        data_root(),
        chosen,
        device=slots(device, 1)[0].device,
        report=progress(terminal),
        **options | (_QUICK if quick else {}),
    )
    found.remember()
    if form == "json":
        _print_json(terminal, found)
    else:
        _print_text(terminal, found)


def _chosen(names: list[str] | None) -> list[Task]:
    from initbench.bench.tasks import TASKS
    from initbench.errors import unknown_name

    for name in names or []:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
    return [TASKS[name] for name in names or TASKS]


def _made_up(model: str, dataset: str, batch_size: int, recipe: str | None) -> Task:
    from initbench.bench.tasks import RECIPE, task_of
    from initbench.plugin.registry import Registry

    return task_of(Registry.installed(), model, dataset, batch_size, recipe or RECIPE)


def _print_json(terminal: Terminal, found: TrainingFigures) -> None:
    from initbench.bench.series import speedups_over_first
    from initbench.store.environment import environment

    compared = speedups_over_first(found.figures)
    speedups = {"speedups": [asdict(speedup) for speedup in compared]}
    terminal.print_json(found.tree() | speedups | {"machine": environment()})


def _print_text(terminal: Terminal, found: TrainingFigures) -> None:
    from initbench.bench.series import speedups_over_first
    from initbench.formatting import byte_size, value

    times = {(x.what, x.side): x for x in speedups_over_first(found.figures)}
    numbers = ["images a second", "times as fast", "from", "to", "memory", "of matrix", "of copy"]
    rows = []
    for x in found.figures:
        ratio = times.get((x.what, x.side))
        spread = [ratio.median, ratio.lowest, ratio.highest] if ratio else []
        ratios = [f"{number:.2f}" for number in spread] or ["1", "", ""]
        shares = [f"{share:.1%}" for share in (x.of_matrix_ceiling, x.of_bandwidth_ceiling)]
        memory = byte_size(x.peak_bytes)
        rows.append([x.what, x.side, value(x.rate, "images"), *ratios, memory, *shares])
    terminal.table("", ["task", "side", *numbers], rows, numbers=numbers)
    for name, most in found.ceilings.operations.items():
        terminal.print_text(f"ceiling of matrix products in {name}: {most / 1e9:,.0f} GFLOP/s")
    terminal.print_text(f"ceiling of a copy: {found.ceilings.bandwidth / 1e9:,.0f} GB/s")
    for what, asked in found.demands.items():
        terminal.print_text(
            f"{what}: an image asks for {asked.operations / 1e6:.2f} MFLOP and moves "
            f"{asked.bytes / 1e6:.2f} MB"
        )
    for what, over in found.overheads.items():
        terminal.print_text(
            f"{what}: records, curves, progress and the store add {over.share:.1%} to a trial: "
            f"{over.loop:.1%} to its loop, {over.record_seconds * 1000:.0f} ms to its "
            f"{over.trial_seconds:,.0f} s"
        )
    for note in dict.fromkeys(f"{x.what}: {x.note}" for x in found.figures if x.note):
        terminal.print_text(f"note: {note}")
