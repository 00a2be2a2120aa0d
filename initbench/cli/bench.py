"""`initbench bench`: how fast initbench is on this machine, beside what people use otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.bench.figure import Figure
    from initbench.bench.series import Speedup
    from initbench.bench.training import TrainingFigures
    from initbench.data.files import Report

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(
    epilog="""\b
Examples:
  initbench bench data
  initbench bench corruptions --format json
"""
)
def bench() -> None:
    """Measure the speed of initbench on this machine.

    Where there is another way of doing the same, both sides are timed in turns. INITBENCH_DATA
    names the folder of data sets; generated images take the place of those that are not there.
    """


def _number(
    name: str, meaning: str, default: int, *, at_least: int = 1
) -> Callable[[Command], Command]:
    return click.option(
        name, type=click.IntRange(min=at_least), default=default, show_default=True, help=meaning
    )


_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the figures.",
)


@bench.command(
    epilog="""\b
Examples:
  initbench bench data
  initbench bench data --batch-size 512 --repeats 10 --format json
"""
)
@_number("--batch-size", "Images in a batch.", 128)
@_number("--repeats", "How often each side is timed.", 5)
@click.option("--images", type=click.IntRange(min=1), help="Training images to use  [default: all]")
@_FORMAT
@click.pass_obj
def data(terminal: Terminal, /, form: str, **options: Any) -> None:
    """Time batches of MNIST and CIFAR-10 against torchvision and a DataLoader."""
    from initbench.bench.batches import batch_figures
    from initbench.execution.run import data_root

    _show(terminal, batch_figures(data_root(), **options, report=_progress(terminal)), form)


@bench.command(
    epilog="""\b
Examples:
  initbench bench corruptions
  initbench bench corruptions --only fog --only glass_blur --images 1000
"""
)
@click.option("--only", metavar="NAME", multiple=True, help="Leave out others; may be repeated.")
@_number("--images", "Test images to corrupt, at each of five severities.", 10_000)
@_number("--workers", "Processes that make the whole set.", 2)
@_number("--repeats", "How often each corruption is timed.", 3)
@_FORMAT
@click.pass_obj
def corruptions(
    terminal: Terminal, /, form: str, only: tuple[str, ...], images: int, **options: Any
) -> None:
    """Time each corruption of CIFAR-10-C, and the making of the whole set."""
    from initbench.bench.corruptions import corruption_figures
    from initbench.bench.images import cifar10_test_images
    from initbench.data.sets.cifar10c import ALL
    from initbench.errors import unknown_name
    from initbench.execution.run import data_root

    for name in only:
        if name not in ALL:
            raise unknown_name("corruption", name, ALL)
    names = [name for name in ALL if name in only or not only]
    pictures, note = cifar10_test_images(data_root(), images)
    if note:
        terminal.warning(note)
    figures = corruption_figures(pictures, names, **options, report=_progress(terminal))
    _show(terminal, figures, form)


@bench.command(
    epilog="""\b
Examples:
  initbench bench streaming
  initbench bench streaming --images-per-class 100 --format json
"""
)
@_number("--images-per-class", "Training images of each of the 1,000 classes.", 1000, at_least=20)
@_number("--batches", "Batches streamed each time.", 20)
@_number("--batch-size", "Images in a batch.", 256)
@_number("--repeats", "How often each side is timed.", 3)
@_FORMAT
@click.pass_obj
def streaming(terminal: Terminal, /, form: str, **options: Any) -> None:
    """Time and weigh the streaming of a simulated ImageNet, beside torchvision's ImageFolder."""
    from initbench.bench.streaming import streaming_figures
    from initbench.execution.run import data_root

    _show(terminal, streaming_figures(data_root(), **options, report=_progress(terminal)), form)


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


@bench.command(
    epilog="""\b
Examples:
  initbench bench training
  initbench bench training --tasks zoo_cnn_10 --stacks 25 --repeats 2
"""
)
@click.option(
    "--tasks",
    metavar="NAME,...",
    callback=_listed,
    help="Out of zoo_cnn_128, zoo_cnn_10 and resnet20_128.  [default: all]",
)
@click.option(
    "--stacks",
    metavar="SIZE,...",
    callback=_sizes,
    help="Networks in a stack.  [default: those that a task has time for]",
)
@_number("--repeats", "How often each side is timed.", 5)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    help="About how long a side trains each time.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@_FORMAT
@click.pass_obj
def training(
    terminal: Terminal, /, tasks: list[str] | None, device: str, form: str, **options: Any
) -> None:
    """Time training, alone and in stacks, beside a plain PyTorch loop.

    Speeds are images a second, times the networks that are trained at once. They are remembered:
    `initbench plan` uses them for its estimates. With all tasks, two cores take some five minutes.
    """
    from initbench.bench.training import TASKS, training_figures
    from initbench.execution.devices import slots
    from initbench.execution.run import data_root

    found = training_figures(
        data_root(),
        device=slots(device, 1)[0].device,
        tasks=list(TASKS) if tasks is None else tasks,
        report=_progress(terminal),
        **options,
    )
    found.remember()
    if form == "json":
        _print_training_json(terminal, found)
    else:
        _print_training(terminal, found)


def _print_training_json(terminal: Terminal, found: TrainingFigures) -> None:
    from initbench.bench.series import speedups_over_first
    from initbench.store.environment import environment

    compared = speedups_over_first(found.figures)
    speedups = {"speedups": [asdict(speedup) for speedup in compared]}
    terminal.print_json(found.tree() | speedups | {"machine": environment()})


def _print_training(terminal: Terminal, found: TrainingFigures) -> None:
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
    for note in dict.fromkeys(f"{x.what}: {x.note}" for x in found.figures if x.note):
        terminal.print_text(f"note: {note}")


def _progress(terminal: Terminal) -> Report:
    """Return what says one line before each step of a benchmark."""

    def report(what: str, done: int, total: int) -> None:
        if done < total:
            terminal.info(f"{done + 1}/{total} {what}")

    return report


def _show(terminal: Terminal, figures: Sequence[Figure], form: str) -> None:
    from initbench.bench.series import speedups

    compared = speedups(figures)
    if form == "json":
        _print_json(terminal, figures, compared)
    else:
        _print_text(terminal, figures, compared)


def _print_json(terminal: Terminal, figures: Sequence[Figure], compared: Sequence[Speedup]) -> None:
    from initbench.store.environment import environment

    terminal.print_json(
        {
            "figures": [asdict(figure) | {"rate": figure.rate} for figure in figures],
            "speedups": [asdict(speedup) for speedup in compared],
            "machine": environment(),
        }
    )


def _print_text(terminal: Terminal, figures: Sequence[Figure], compared: Sequence[Speedup]) -> None:
    from initbench.formatting import seconds, value

    def speeds(figure: Figure) -> list[str]:
        rates = [figure.amount / taken for taken in figure.seconds]
        return [value(rate, figure.unit) for rate in (figure.rate, min(rates), max(rates))]

    numbers = ["a second", "slowest", "fastest"]
    rows = [[x.what, x.side, seconds(x.amount / x.rate), *speeds(x), x.unit] for x in figures]
    columns = ["task", "side", "time", *numbers, "unit"]
    terminal.table("", columns, rows, numbers=["time", *numbers])
    for x in compared:
        terminal.print_text(
            f"{x.what}: {x.side} is {x.median:.1f} times as fast as {x.against} "
            f"({x.lowest:.1f} to {x.highest:.1f})"
        )
    for note in dict.fromkeys(f"{x.what}: {x.note}" for x in figures if x.note):
        terminal.print_text(f"note: {note}")
