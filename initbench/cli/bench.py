"""`initbench bench`: how fast initbench is on this machine, beside what people use otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.bench_options import format_option, number, progress
from initbench.cli.bench_training import training
from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.bench.figure import Figure
    from initbench.bench.series import Speedup


@click.group(
    epilog="""\b
Examples:
  initbench bench data
  initbench bench training --quick --format json
"""
)
def bench() -> None:
    """Measure the speed of initbench on this machine.

    Where there is another way of doing the same, both sides are timed in turns. INITBENCH_DATA
    names the folder of data sets; generated images take the place of those that are not there.
    """


bench.add_command(training)


@bench.command(
    epilog="""\b
Examples:
  initbench bench data
  initbench bench data --batch-size 512 --repeats 10 --format json
"""
)
@number("--batch-size", "Images in a batch.", 128)
@number("--repeats", "How often each side is timed.", 5)
@click.option("--images", type=click.IntRange(min=1), help="Training images to use  [default: all]")
@format_option
@click.pass_obj
def data(terminal: Terminal, /, form: str, **options: Any) -> None:
    """Time batches of MNIST and CIFAR-10 against torchvision and a DataLoader."""
    from initbench.bench.batches import batch_figures
    from initbench.execution.run import data_root

    _show(terminal, batch_figures(data_root(), **options, report=progress(terminal)), form)


@bench.command(
    epilog="""\b
Examples:
  initbench bench corruptions
  initbench bench corruptions --only fog --only glass_blur --images 1000
"""
)
@click.option("--only", metavar="NAME", multiple=True, help="Leave out others; may be repeated.")
@number("--images", "Test images to corrupt, at each of five severities.", 10_000)
@number("--workers", "Processes that make the whole set.", 2)
@number("--repeats", "How often each corruption is timed.", 3)
@format_option
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
    figures = corruption_figures(pictures, names, **options, report=progress(terminal))
    _show(terminal, figures, form)


@bench.command(
    epilog="""\b
Examples:
  initbench bench streaming
  initbench bench streaming --images-per-class 100 --format json
"""
)
@number("--images-per-class", "Training images of each of the 1,000 classes.", 1000, at_least=20)
@number("--batches", "Batches streamed each time.", 20)
@number("--batch-size", "Images in a batch.", 256)
@number("--repeats", "How often each side is timed.", 3)
@format_option
@click.pass_obj
def streaming(terminal: Terminal, /, form: str, **options: Any) -> None:
    """Time and weigh the streaming of a simulated ImageNet, beside torchvision's ImageFolder."""
    from initbench.bench.streaming import streaming_figures
    from initbench.execution.run import data_root

    _show(terminal, streaming_figures(data_root(), **options, report=progress(terminal)), form)


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
