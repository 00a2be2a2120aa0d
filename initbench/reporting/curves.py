"""Curves: how training develops in a cell."""

from __future__ import annotations

import numpy as np

from initbench.measures.curve import aligned_curves
from initbench.reporting.cells import Cell
from initbench.results import CurveBand


def band(cell: Cell) -> CurveBand | None:
    """Return mean and quartiles over all trials that count, by evaluation (rule 5).

    Of the validation accuracy; of the validation loss where numbers are predicted; and where tasks
    follow each other, of the loss on the images that are trained on.
    """
    records = list(cell.records.values())
    if any("validation_accuracy" in record.curves for record in records):
        name, quantity = "validation_accuracy", "validation accuracy"
    elif any("continual" in record.identity.get("recipe", {}) for record in records):
        name, quantity = "train_loss", "training loss"
    else:
        name, quantity = "validation_loss", "validation loss"
    return _spread(cell, name, quantity)


def losses(cell: Cell) -> CurveBand | None:
    """Return mean and quartiles of the validation loss, where `band` is of the accuracy.

    There is no mean where the loss of a trial is not finite, nor after it diverged.
    """
    accuracies = any("validation_accuracy" in record.curves for record in cell.records.values())
    return _spread(cell, "validation_loss", "validation loss") if accuracies else None


def _spread(cell: Cell, name: str, quantity: str) -> CurveBand | None:
    curves = aligned_curves(list(cell.records.values()), name)
    if curves is None:
        return None
    first = 1 if name == "train_loss" else 0  # nothing was trained on before the first step
    values = np.array(curves.values)[:, first:]  # (trials, evaluations)
    with np.errstate(invalid="ignore"):  # losses may be infinite
        low, high = np.quantile(values, [0.25, 0.75], axis=0)
    return CurveBand(
        **cell.names,
        steps=list(curves.axis.steps)[first:],
        mean=values.mean(axis=0).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        n=len(values),
        quantity=quantity,
    )
