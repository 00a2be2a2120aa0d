"""Histograms: how the activations or gradients of layers are distributed in a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from initbench.measures.measure import Measure
from initbench.measures.start_up import VarianceMeasure
from initbench.reporting.cells import Cell
from initbench.results import LayerHistograms

BINS = 40

REACH = 3
"""Bins lie within so many deviations, the median over layers: so that all layers of a network share
an axis, and what shrinks or grows from layer to layer is seen to do so."""


def layer_histograms(measure: Measure[Any], label: str, cell: Cell) -> LayerHistograms | None:
    """Return the mean histogram of each layer over all trials that were looked at.

    None for a measure that is not of distributions, or is of one layer only, and where no layer
    has finite values.
    """
    if not isinstance(measure, VarianceMeasure) or measure.config.layer is not None:
        return None
    seen = (cell.observed.of_trial(label, cell.names, seed) for seed in sorted(cell.records))
    trials = [measure.quantiles(observation) for observation in seen if observation is not None]
    trials = [trial for trial in trials if trial]
    layers = list(dict.fromkeys(name for trial in trials for name in trial))
    known = {name: _finite([t[name] for t in trials if name in t]) for name in layers}
    deviations = {name: _deviation(quantiles) for name, quantiles in known.items()}
    positive = [x for x in deviations.values() if x]
    if not positive:
        return None
    reach = REACH * float(np.median(positive))
    edges = np.linspace(-reach, reach, BINS + 1)
    below = {name: _below(edges, quantiles) for name, quantiles in known.items()}
    return LayerHistograms(
        **cell.names,
        measure=label,
        quantity=measure.quantity,
        checkpoint=measure.config.checkpoint,
        layers=layers,
        deviations=list(deviations.values()),
        reach=reach,
        shares=[np.diff(shares).tolist() for shares in below.values()],
        beyond=[float(1 - shares[-1] + shares[0]) for shares in below.values()],
        n=len(trials),
    )


def _finite(trials: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    return [quantiles for quantiles in trials if all(map(math.isfinite, quantiles))]


def _deviation(trials: Sequence[Sequence[float]]) -> float | None:
    """Return the median over trials of the deviation that quantiles stand for."""
    return float(np.median([np.std(quantiles) for quantiles in trials])) if trials else None


def _below(edges: np.ndarray, trials: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the mean over trials of the share of values that is below each edge."""
    if not trials:
        return np.zeros_like(edges)
    shares = [
        np.interp(edges, quantiles, np.linspace(0, 1, len(quantiles)), left=0.0, right=1.0)
        for quantiles in trials
    ]
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean
