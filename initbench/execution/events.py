"""What a worker tells the planner while it performs a job."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Ready:
    """The worker has started and waits for jobs; for the pool, not for the planner."""


@dataclass(frozen=True)
class Progress:
    """A trial was evaluated on its validation split."""

    job: str
    trial: str
    step: int
    total_steps: int
    accuracy: float | None  # None where numbers are predicted
    loss: float


@dataclass(frozen=True)
class Outcome:
    """An outcome lies in the spool, ready to be adopted."""

    job: str
    path: str


@dataclass(frozen=True)
class Finished:
    """The job is over and all its outcomes are spooled."""

    job: str


@dataclass(frozen=True)
class Broken:
    """The job could not be performed.

    `wrong input` is for the user to mend and ends the run; `lost` is infrastructure (the worker
    died or ran out of memory) and is tried again; `bug` is ours.
    """

    job: str
    why: Literal["wrong input", "lost", "bug"]
    message: str
    log: str = ""


Event = Progress | Outcome | Finished | Broken

_KINDS: dict[str, type[Ready | Event]] = {
    kind.__name__: kind for kind in (Ready, Progress, Outcome, Finished, Broken)
}


def to_tree(event: Ready | Event) -> dict[str, Any]:
    """Return the plain form in which an event travels."""
    return {"event": type(event).__name__, **asdict(event)}


def event_of(tree: dict[str, Any]) -> Ready | Event:
    """Return the event that a plain form stands for."""
    fields = dict(tree)
    return _KINDS[fields.pop("event")](**fields)
