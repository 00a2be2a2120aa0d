"""Live progress of a run: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from initbench.store.artifact import StoredArtifact
from initbench.store.record import Record, TrialStatus

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from initbench.cli.terminal import Terminal
    from initbench.execution.events import Progress

_LINE_EVERY_SECONDS = 5.0
_TELLING = 0.02  # the share of all training that tells more about the rest than the estimate


class RunProgress:
    """Shows trials done, current accuracy and time left while a plan is executed.

    `labels` names each trial for people; `on_commit` is told each outcome (the MLflow mirror).
    `observations` is the number of looks that probes will take at networks.
    """

    def __init__(
        self,
        terminal: Terminal,
        labels: dict[str, str],
        estimate_seconds: float | None,
        on_commit: Callable[[Record], None],
        observations: int = 0,
    ) -> None:
        self._terminal = terminal
        self._labels = labels
        self._estimate = estimate_seconds
        self._on_commit = on_commit
        self._observations = observations
        self._observed = 0
        self._done = 0
        self._troubled = 0
        self._score = ""
        self._current = "starting workers"
        self._started = time.monotonic()
        self._trained: dict[str, float] = {}
        """Of each trial that has begun, the share of its steps that is done."""
        self._trained_before = 0.0
        """Of these shares, what was done when they were first heard of: the trial went on."""
        self._training_since: float | None = None
        self._last_line = self._started
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> RunProgress:
        if self._terminal.err.is_terminal and not self._terminal.quiet:
            self._bar = _bar(self._terminal)
            self._task = self._bar.add_task("", total=self._total, **self._fields())
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._refresh()
            self._bar.stop()

    def progress(self, progress: Progress) -> None:
        """A trial was evaluated."""
        self._score = (
            f", loss {progress.loss:.3g}"
            if progress.accuracy is None
            else f", accuracy {100 * progress.accuracy:.1f} %"
        )
        self._current = self._labels.get(progress.trial, progress.trial[:12])
        if progress.trial in self._labels:
            self._advance(progress.trial, progress.step / max(progress.total_steps, 1))
        self._refresh()

    def committed(self, outcome: Record | StoredArtifact) -> None:
        """A record or an artifact has just been committed."""
        if not isinstance(outcome, Record):
            if outcome.kind == "observation":
                self._observed += 1
                self._refresh()
            for text in warnings_of(outcome):
                self._terminal.warning(text)
            return
        self._on_commit(outcome)
        if outcome.key not in self._labels:
            return
        self._done += 1
        self._advance(outcome.key, 1.0)
        if outcome.status is not TrialStatus.DONE:
            self._troubled += 1
            reason = outcome.failure.message if outcome.failure else ""
            self._terminal.warning(
                f"{self._labels[outcome.key]} {outcome.status.value}: {reason.splitlines()[0]}"
                if reason
                else f"{self._labels[outcome.key]} {outcome.status.value}"
            )
        self._refresh()

    def waiting(self) -> None:
        """Nothing happened for a moment."""
        self._refresh()

    def _refresh(self) -> None:
        if self._bar is not None and self._task is not None:
            completed = sum(self._trained.values()) + self._observed
            self._bar.update(self._task, completed=completed, **self._fields())
        elif time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            fields = self._fields()
            self._terminal.info(
                f"{fields['counts']}, {fields['left']} left{fields['score']}{fields['trouble']}"
            )

    @property
    def _total(self) -> int:
        return len(self._labels) + self._observations

    def _counts(self) -> Iterator[str]:
        if self._labels:
            yield f"{self._done}/{len(self._labels)} trials"
        if self._observations:
            yield f"{self._observed}/{self._observations} observations"

    def _fields(self) -> dict[str, Any]:
        score = self._score and f"{self._score} ({self._current})"
        return {
            "counts": ", ".join(self._counts()),
            "score": score,
            "left": clock(self._seconds_left()),
            "trouble": f", {self._troubled} without result" if self._troubled else "",
        }

    def _seconds_left(self) -> float | None:
        if self._done == len(self._labels) and self._observed < self._observations:
            return None  # how long probes look is not known beforehand
        now, trained = time.monotonic(), sum(self._trained.values())
        new = trained - self._trained_before
        estimated = 0.0 if self._estimate is None else self._estimate - (now - self._started)
        if estimated > 0 and new < _TELLING * len(self._labels):
            return estimated
        if self._training_since is None or new == 0:
            return None
        return (now - self._training_since) / new * (len(self._labels) - trained)

    def _advance(self, trial: str, share: float) -> None:
        known_late = share == 1  # that only: it was trained since the start
        if self._training_since is None:
            self._training_since = self._started if known_late else time.monotonic()
        if trial not in self._trained and not known_late:
            self._trained_before += share
        self._trained[trial] = share


def warnings_of(artifact: StoredArtifact) -> list[str]:
    """Return what a fit warns of, each with the initialiser and the key of its artifact."""
    texts = artifact.description.get("warnings")
    if artifact.kind != "fit" or not isinstance(texts, list):
        return []
    who = f"fit of `{artifact.identity['initialiser']['name']}` ({artifact.key[:12]})"
    return [f"{who}: {text}" for text in texts]


def _bar(terminal: Terminal) -> Bar:
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.fields[counts]}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[left]} left{task.fields[score]}{task.fields[trouble]}"),
        console=terminal.err,
        refresh_per_second=4,
    )


def clock(seconds: float | None) -> str:
    """Return a duration as minutes and seconds: `1:05`, `2:03:04`; `?` where it is not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
