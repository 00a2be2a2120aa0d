"""The terminal: the only place from which initbench prints.

What a command was asked for goes to standard output; what is said on the way goes to standard
error, so `initbench results quickstart --format json | jq` works.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


_NAME_WIDTH = 20


class Terminal:
    """Prints messages, tables and documents; plain text where nobody is watching."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._out: Console | None = None
        self._err: Console | None = None

    @property
    def out(self) -> Console:
        """The console of standard output."""
        from rich.console import Console

        if self._out is None:
            self._out = _wide_enough(Console(highlight=False))
        return self._out

    @property
    def err(self) -> Console:
        """The console of standard error."""
        from rich.console import Console

        if self._err is None:
            self._err = _wide_enough(Console(stderr=True, highlight=False))
        return self._err

    def info(self, text: str) -> None:
        """Say something on the way; `--quiet` leaves it out."""
        if not self.quiet:
            self.err.print(text, markup=False, soft_wrap=True)

    def success(self, text: str) -> None:
        """Say that something worked; `--quiet` leaves it out."""
        if not self.quiet:
            self.err.print(text, style="green", markup=False, soft_wrap=True)

    def warning(self, text: str) -> None:
        """Warn, in one line that begins with `warning:`."""
        self.err.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)

    def error(self, text: str) -> None:
        """Report wrong input, in a message that begins with `error:`."""
        self.err.print(f"error: {text}", style="red", markup=False, soft_wrap=True)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        numbers: Sequence[str] = (),
        caption: str = "",
    ) -> None:
        """Print a table; the columns named in `numbers` are aligned to the right."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(title) if title else None,
            caption=Text(caption) if caption else None,
            caption_justify="left",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for i, column in enumerate(columns):
            longest = max((len(row[i]) for row in rows), default=0)
            table.add_column(
                Text(column),
                justify="right" if column in numbers else "left",
                overflow="fold",
                # Names are read whole or not at all; numbers may go below each other.
                min_width=min(longest, _NAME_WIDTH) if i == 0 else None,
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.out.print(table)

    def print_text(self, text: str) -> None:
        """Print a document exactly as it is."""
        click.echo(text, nl=not text.endswith("\n"))

    def print_json(self, tree: Any) -> None:
        """Print a JSON document (strict: NaN is a bug)."""
        click.echo(json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False))


def _wide_enough(console: Console) -> Console:
    """Give output that nobody watches a fixed width, so that files and logs stay readable."""
    if not console.is_terminal:
        console.width = 160
    return console
