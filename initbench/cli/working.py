"""Live progress of one long piece of work: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from initbench.cli.terminal import Terminal

_LINE_EVERY_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
"""What takes less needs no bar."""


class Working:
    """Shows what reports of data sets say; an instance is a `Report`."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._started = self._last_line = time.monotonic()
        self._bar: Bar | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Working:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if total == 0:
            self._terminal.info(f"  {what}")
            return
        now = time.monotonic()
        if self._terminal.quiet or now - self._started < _PATIENCE_SECONDS:
            return
        if self._terminal.err.is_terminal:
            self._draw(what, done, total)
        elif now - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = now
            self._terminal.info(f"  {what} {100 * done / total:.0f} %")

    def _draw(self, what: str, done: int, total: int) -> None:
        """Show the piece of work that reported last, and no other."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            self._bar = Progress(
                TextColumn("  {task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:.0f} %"),
                TimeRemainingColumn(),
                console=self._terminal.err,
                transient=True,
            )
            self._bar.start()
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bar.remove_task(task)
            self._tasks = {what: self._bar.add_task(what, total=total)}
        self._bar.update(self._tasks[what], completed=done, total=total)
