"""The whole validation curve as one number."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from initbench.measures.curve import chance, validation_curve
from initbench.measures.measure import RecordMeasure
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Record


class AreaUnderCurve(RecordMeasure[Config]):
    """The mean validation accuracy over training: trapezoids over steps, divided by their number.

    It rewards learning early and ending high, without a threshold that somebody has to choose.
    """

    name = "area_under_curve"
    summary = "Mean validation accuracy over the whole of training."
    unit = "fraction"
    direction = "higher"

    def of_record(self, record: Record) -> float:
        curve = validation_curve(record)
        values = [chance(record) if value is None else value for value in curve.values]
        points = list(zip(curve.steps, values, strict=True))
        area = sum((t - s) * (v + w) / 2 for (s, v), (t, w) in pairwise(points))
        return area / (curve.steps[-1] - curve.steps[0])

    def worst(self, record: Record) -> float:
        return chance(record)
