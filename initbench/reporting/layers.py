"""Layers: what a measure shows of each layer of the networks of a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from initbench.measures.layers import LayerMeasure
from initbench.measures.measure import Measure
from initbench.reporting.cells import Cell
from initbench.results import LayerBand


def layer_band(measure: Measure[Any], label: str, cell: Cell) -> LayerBand | None:
    """Return median and quartiles over all trials that were looked at, by layer.

    None for a measure that has no numbers by layer, or is of one layer only.
    """
    if not isinstance(measure, LayerMeasure) or measure.config.layer is not None:
        return None
    seen = {seed: cell.observed.of_trial(label, cell.names, seed) for seed in sorted(cell.records)}
    found = [(measure.by_layer(o), o.description["notes"]) for o in seen.values() if o is not None]
    trials = [by_layer for by_layer, _ in found if by_layer]
    if not trials:
        return None
    layers = list(dict.fromkeys(name for by_layer in trials for name in by_layer))
    spread = [quartiles([t[name] for t in trials if name in t]) for name in layers]
    low, median, high = (list(numbers) for numbers in zip(*spread, strict=True))
    return LayerBand(
        **cell.names,
        measure=label,
        unit=measure.layer_unit or measure.unit,
        logarithmic=measure.logarithmic,
        layers=layers,
        median=median,
        low=low,
        high=high,
        n=len(trials),
        notes=list(dict.fromkeys(note for _, notes in found for note in notes)),
    )


def quartiles(numbers: Sequence[float]) -> tuple[float | None, ...]:
    """Return first quartile, median and third quartile, None where not finite or of nothing."""
    if not numbers:
        return None, None, None
    with np.errstate(invalid="ignore"):
        quartiles = np.quantile(numbers, [0.25, 0.5, 0.75])
    return tuple(float(x) if math.isfinite(x) else None for x in quartiles)
