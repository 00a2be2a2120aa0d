"""Options that the benchmarks share, and how they say where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.data.files import Report

Command = TypeVar("Command", bound=Callable[..., Any])


def number(
    name: str, meaning: str, default: int, *, at_least: int = 1
) -> Callable[[Command], Command]:
    """Add an option for a whole number."""
    return click.option(
        name, type=click.IntRange(min=at_least), default=default, show_default=True, help=meaning
    )


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the figures.",
)


def progress(terminal: Terminal) -> Report:
    """Return what says one line before each step of a benchmark."""

    def report(what: str, done: int, total: int) -> None:
        if done < total:
            terminal.info(f"{done + 1}/{total} {what}")

    return report
