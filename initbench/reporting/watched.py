"""Layers over training: what records say of them, where their recipe watched layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from initbench.measures.measure import Measure
from initbench.measures.scale_drift import ScaleDrift
from initbench.reporting.cells import Cell
from initbench.reporting.layers import quartiles
from initbench.results import LastLayer, LayersOverTraining
from initbench.store.record import LayerCurves

UNITS = {
    "weight_std": "deviation",
    "activation_variance": "variance",
    "gradient_variance": "variance",
    "gradient_norm": "norm",
}
_SHOWN_OF_LAST = ("weight", "activation", "gradient")


def layers_over_training(
    measure: Measure[Any], label: str, cell: Cell
) -> LayersOverTraining | None:
    """Return median and quartiles over trials, by layer and evaluation.

    A trial that diverged counts as far as it came. None for measures that follow no layers.
    """
    if not isinstance(measure, ScaleDrift):
        return None
    watched = _watched(cell)
    trials = [measure.by_layer(seen) for seen in watched]
    layers = list(dict.fromkeys(name for trial in trials for name in trial))
    if not layers:
        return None
    steps = _longest(watched).steps
    spread = {
        name: [quartiles(_at(i, [t[name] for t in trials if name in t])) for i in range(len(steps))]
        for name in layers
    }
    low, median, high = (
        [[numbers[which] for numbers in spread[name]] for name in layers] for which in range(3)
    )
    return LayersOverTraining(
        **cell.names,
        measure=label,
        unit=UNITS[measure.config.quantity],
        layers=layers,
        steps=steps,
        median=median,
        low=low,
        high=high,
        n=_trials_at(watched, len(steps)),
    )


def last_layer(cell: Cell) -> LastLayer | None:
    """Return how the last layer develops: medians over trials of means and deviations."""
    watched = [seen for seen in _watched(cell) if seen.layers]
    if not watched:
        return None
    steps = _longest(watched).steps

    def over_trials(quantity: str) -> list[float | None]:
        curves = [seen.values[quantity][-1] for seen in watched]
        return [quartiles(_at(i, curves))[1] for i in range(len(steps))]

    deviations = {
        "weight": over_trials("weight_std"),
        "activation": _roots(over_trials("activation_variance")),
        "gradient": _roots(over_trials("gradient_variance")),
    }
    return LastLayer(
        **cell.names,
        layer=_longest(watched).layers[-1],
        steps=steps,
        mean={what: over_trials(f"{what}_mean") for what in _SHOWN_OF_LAST},
        deviation=deviations,
        n=_trials_at(watched, len(steps)),
    )


def _watched(cell: Cell) -> list[LayerCurves]:
    found = (record.layers for record in cell.records.values())
    return [seen for seen in found if seen is not None and seen.steps]


def _longest(watched: Sequence[LayerCurves]) -> LayerCurves:
    return max(watched, key=lambda seen: len(seen.steps))


def _at(evaluation: int, curves: Sequence[Sequence[float | None]]) -> list[float]:
    """Return the numbers that curves have at an evaluation; NaN stands for those not finite."""
    there = [curve[evaluation] for curve in curves if evaluation < len(curve)]
    return [np.nan if x is None else x for x in there]


def _trials_at(watched: Sequence[LayerCurves], evaluations: int) -> list[int]:
    return [sum(i < len(seen.steps) for seen in watched) for i in range(evaluations)]


def _roots(variances: Sequence[float | None]) -> list[float | None]:
    return [None if x is None else float(np.sqrt(x)) for x in variances]
