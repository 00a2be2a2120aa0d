"""Curves: how the validation accuracy of a cell develops."""

from __future__ import annotations

import numpy as np

from initbench.measures.curve import aligned_curves
from initbench.reporting.cells import Cell
from initbench.results import CurveBand


def band(cell: Cell) -> CurveBand | None:
    """Return mean and quartiles over all trials that count, by evaluation (rule 5)."""
    curves = aligned_curves(list(cell.records.values()))
    if curves is None:
        return None
    values = np.array(curves.values)  # (trials, evaluations)
    low, high = np.quantile(values, [0.25, 0.75], axis=0)
    return CurveBand(
        **cell.names,
        steps=list(curves.axis.steps),
        mean=values.mean(axis=0).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        n=len(values),
    )
