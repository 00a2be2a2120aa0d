"""Checkpoints of a stack: all its members in one file, so that they are of the same step.

What is said of `checkpoint` holds here. Members are known by the keys of their trials. A stack goes
on from the checkpoint of a larger one that had all its members, too: those whose neighbours have
been finished meanwhile, say. Their numbers then are the same to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from initbench.errors import CorruptRecordError, StoreError
from initbench.store.checkpoint import CheckpointFile
from initbench.store.record import Cost, Curve, Failure, TrialStatus
from initbench.training.checkpoint import (
    CHECKPOINT_SECONDS,
    Checkpoints,
    Conditions,
    Number,
    Part,
    Tensors,
    described,
    group,
    shapes,
)
from initbench.training.evaluation import Scores
from initbench.training.outcome import History, Point, State, Trained, stacked, unstacked

_ANOTHER = "it is one of another network"


@dataclass(frozen=True)
class Staying:
    """A member that is still in the stack."""

    numbers: dict[str, float]  # from before training
    history: History


@dataclass(frozen=True)
class Gone:
    """A member that left the stack, because it diverged."""

    outcome: Trained
    last: Tensors  # its parameters and buffers


@dataclass(frozen=True)
class StackSnapshot:
    """All that the rest of a stack's training depends on, besides data, recipe and seeds.

    The tensors may be those that are trained, as in `checkpoint.Snapshot`.
    """

    step: int
    images_seen: int  # by each member
    loss_steps: int
    staying: dict[str, Staying]  # by key, in the order of the rows
    gone: dict[str, Gone]
    rows: Tensors  # whatever has a row for each member that is still there
    cost: Cost  # so far, earlier attempts included


class StackKeeper(Checkpoints):
    """Keeps the checkpoints of a stack, in the place of one of its members.

    Best of the last one: its record is the last to come, and the checkpoint goes with it.
    `keys` are those of the members, in order.
    """

    def __init__(
        self, file: CheckpointFile, keys: Sequence[str], seconds: float = CHECKPOINT_SECONDS
    ) -> None:
        super().__init__(file, seconds)
        self.keys = tuple(keys)

    def found(self, rows: Tensors, state: State, now: Conditions) -> StackSnapshot | None:
        """Return where an earlier attempt left these members; None if nowhere.

        A checkpoint that is damaged, lacks a member, is of networks with other `rows` or another
        `state` than these, or was made under other conditions, is left alone, with a note.
        """

        def restored(tree: Mapping[str, Any], tensors: Tensors) -> tuple[StackSnapshot, _Kept]:
            kept = described(tree, _Kept, now)
            return _restored(kept, tensors, self.keys, rows, state), kept

        found = self._read(restored)
        if found is None:
            return None
        snapshot, kept = found
        before = len(kept.staying) + len(kept.gone)
        larger = f" of a stack of {before}" if before > len(self.keys) else ""
        self.notes += [*kept.notes, f"continued from step {snapshot.step}{larger}"]
        return snapshot

    def keep(self, snapshot: StackSnapshot, now: Conditions) -> None:
        """Write a checkpoint; if that fails, training goes on and a note says so."""
        self._write(lambda: _description_and_tensors(snapshot, now, self.notes))


# --- the form on disk ---------------------------------------------------------------------------


class _Staying(Part):
    key: str
    numbers: dict[str, Number]
    best_index: int


class _Gone(Part):
    key: str
    seed: int
    failure: Failure
    curves: dict[str, Curve]
    best_index: int
    numbers: dict[str, Number]
    batch_order: str
    cost: Cost
    attempt_notes: list[str]
    kept_epochs: list[int] = []


_SAME = _Gone.model_fields.keys() - {"key", "kept_epochs"}
"""What an outcome has too."""


class _Kept(Part):
    """A snapshot without its tensors."""

    conditions: Conditions
    notes: list[str]
    step: int
    images_seen: int
    loss_steps: int
    evaluations: list[int]  # the steps after which they took place
    kept_epochs: list[int] = []  # of those who are staying
    staying: list[_Staying]
    gone: list[_Gone]
    cost: Cost


def _description_and_tensors(
    snapshot: StackSnapshot, now: Conditions, notes: list[str]
) -> tuple[dict[str, Any], Tensors]:
    staying = list(snapshot.staying.values())
    kept = _Kept(
        conditions=now,
        notes=notes,
        step=snapshot.step,
        images_seen=snapshot.images_seen,
        loss_steps=snapshot.loss_steps,
        evaluations=[point.step for point in staying[0].history.points],
        kept_epochs=list(staying[0].history.kept),
        staying=[
            _Staying(key=key, numbers=one.numbers, best_index=one.history.best_index)
            for key, one in snapshot.staying.items()
        ],
        gone=[_gone(key, one.outcome) for key, one in snapshot.gone.items()],
        cost=snapshot.cost,
    )
    points = [[_numbers(point) for point in one.history.points] for one in staying]
    groups: dict[str, Tensors] = {
        "rows": snapshot.rows,
        "best": stacked([one.history.best for one in staying]),
        "kept": stacked([stacked(list(one.history.kept.values())) for one in staying]),
        "points": {"all": torch.tensor(points, dtype=torch.float64)},
    }
    for i, one in enumerate(snapshot.gone.values()):
        groups |= {
            f"gone{i}.best": one.outcome.best,
            f"gone{i}.kept": stacked(list(one.outcome.kept.values())),
            f"gone{i}.state": one.outcome.last,
            f"gone{i}.last": one.last,
        }
    tensors = {f"{name}.{key}": x for name, xs in groups.items() for key, x in xs.items()}
    return kept.model_dump(), tensors


def _gone(key: str, outcome: Trained) -> _Gone:
    own = {"key": key, "kept_epochs": list(outcome.kept)}
    return _Gone.model_validate(own | {name: getattr(outcome, name) for name in _SAME})


def _numbers(point: Point) -> list[float]:
    """Return an evaluation as numbers; what is not defined, as before the first step, is NaN."""
    scores = point.validation
    numbers = (scores.accuracy, scores.loss, point.train_loss, point.learning_rate)
    return [math.nan if x is None else x for x in numbers]


def _point(step: int, numbers: Sequence[float]) -> Point:
    accuracy, loss, train_loss, rate = numbers
    scores = Scores(None if math.isnan(accuracy) else accuracy, loss)
    return Point(step, scores, *((train_loss, rate) if step else (None, None)))


def _restored(
    kept: _Kept, tensors: Tensors, keys: Sequence[str], rows: Tensors, state: State
) -> StackSnapshot:
    """Return the snapshot of the members with `keys`, in that order.

    Raises StoreError if one is missing, CorruptRecordError for tensors of another network.
    """
    places = {one.key: place for place, one in enumerate(kept.staying)}
    gone_places = {one.key: place for place, one in enumerate(kept.gone)}
    if missing := [key for key in keys if key not in places and key not in gone_places]:
        raise StoreError(f"it is one of another stack, without {len(missing)} of these trials")
    staying = [key for key in keys if key in places]
    index = torch.tensor([places[key] for key in staying], dtype=torch.int64)

    kept_rows, best, states = (group(tensors, name) for name in ("rows", "best", "kept"))
    of_epochs = stacked([state] * len(kept.kept_epochs))
    points = group(tensors, "points").get("all", torch.empty(0))
    alike = (
        _each(kept_rows, len(places)) == _each(rows, len(keys))
        and _each(best, len(places)) == shapes(state)
        and _each(states, len(places)) == shapes(of_epochs)
        and points.shape == (len(places), len(kept.evaluations), 4)
    )
    if not alike:
        raise CorruptRecordError(_ANOTHER)

    def history(place: int) -> History:
        return History(
            points=list(map(_point, kept.evaluations, points[place].tolist())),
            best_index=kept.staying[place].best_index,
            best={name: each[place].clone() for name, each in best.items()},
            kept=unstacked({n: each[place] for n, each in states.items()}, kept.kept_epochs),
        )

    return StackSnapshot(
        step=kept.step,
        images_seen=kept.images_seen,
        loss_steps=kept.loss_steps,
        staying={
            key: Staying(kept.staying[places[key]].numbers, history(places[key])) for key in staying
        },
        gone={
            key: _left(kept.gone[place], group(tensors, f"gone{place}"))
            for key, place in gone_places.items()
            if key in keys
        },
        rows={name: each.index_select(0, index) for name, each in kept_rows.items()},
        cost=kept.cost,
    )


def _left(kept: _Gone, tensors: Tensors) -> Gone:
    outcome = Trained(
        status=TrialStatus.DIVERGED,
        best=group(tensors, "best"),
        last=group(tensors, "state"),
        kept=unstacked(group(tensors, "kept"), kept.kept_epochs),
        **{name: getattr(kept, name) for name in _SAME},
    )
    return Gone(outcome, group(tensors, "last"))


def _each(stacked: Tensors, members: int) -> dict[str, tuple[torch.Size, torch.dtype]] | None:
    """Return what the tensors of each member look like; None where there are not so many."""
    if any(x.ndim == 0 or len(x) != members for x in stacked.values()):
        return None
    return {name: (x.shape[1:], x.dtype) for name, x in stacked.items()}
