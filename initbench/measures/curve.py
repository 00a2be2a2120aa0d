"""What records hold: final numbers of a trial, and curves of a cell on common evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from initbench.errors import CorruptRecordError

if TYPE_CHECKING:
    from initbench.store.record import Curve, Record


@dataclass(frozen=True)
class AlignedCurves:
    """A curve of several trials; every row is complete."""

    axis: Curve  # steps and epochs of the evaluations
    values: list[list[float]]  # (trials, evaluations)


def final_number(record: Record, name: str) -> float:
    """Return a number that a trial ended with."""
    if name not in record.final:
        raise CorruptRecordError(
            f"record {record.key[:12]} is `{record.status.value}` but has no number `{name}`; "
            "remove it and run the suite again"
        )
    return record.final[name]


def validation_curve(record: Record) -> Curve:
    """Return the validation accuracies of a trial that is done."""
    curve = record.curves.get("validation_accuracy")
    if curve is None or not curve.values:
        raise CorruptRecordError(
            f"record {record.key[:12]} is `{record.status.value}` but has no curve "
            "`validation_accuracy`; remove it and run the suite again"
        )
    return curve


def aligned_curves(
    records: Sequence[Record], name: str = "validation_accuracy"
) -> AlignedCurves | None:
    """Put the curves of trials of one recipe on the evaluations of the longest.

    What a trial lacks, because it diverged or failed, is that of guessing (rule 5). None where no
    trial has a curve.
    """
    guessing: Callable[[Record], float] = chance if name.endswith("accuracy") else guessed_loss
    curves = [record.curves.get(name) for record in records]
    present = [curve for curve in curves if curve is not None and curve.values]
    if not present:
        return None
    axis = max(present, key=lambda curve: len(curve.steps))
    values = []
    for record, curve in zip(records, curves, strict=True):
        known = [] if curve is None else curve.values
        known = [*known, *[None] * (len(axis.steps) - len(known))]
        values.append([guessing(record) if value is None else value for value in known])
    return AlignedCurves(axis, values)


def chance(record: Record) -> float:
    """Return the accuracy of guessing, which scores a trial that diverged or failed (rule 2)."""
    return 1 / record.classes


def guessed_loss(record: Record) -> float:
    """Return the loss of guessing in a regression; infinite where a trial failed before."""
    return record.final.get("train_loss.guessing", inf)
