from __future__ import annotations

import math

import numpy as np
import pytest

from initbench.measures.scale_drift import ScaleDrift, ScaleDriftConfig
from initbench.reporting.cells import Cell
from initbench.reporting.watched import last_layer, layers_over_training
from initbench.store.record import LayerCurves, Record, TrialStatus
from tests.factories import record
from tests.reporting.cases import ACCURACY

QUANTITIES = (
    "weight_mean",
    "weight_std",
    "activation_mean",
    "activation_variance",
    "gradient_mean",
    "gradient_variance",
    "gradient_norm",
)
WEIGHTS = ScaleDrift(ScaleDriftConfig())


def watched(first: list[float | None], second: list[float | None], seed: int = 0) -> Record:
    """A trial of two layers, all of whose quantities have these curves."""
    steps = [0, 10, 20][: len(first)]
    seen = LayerCurves(
        layers=["main.z", "main.a"],
        steps=steps,
        epochs=[step / 10 for step in steps],
        values={quantity: [first, second] for quantity in QUANTITIES},
    )
    status = TrialStatus.DONE if len(first) == 3 else TrialStatus.DIVERGED
    return record(seed=seed, status=status, layers=seen)


def cell(*trials: Record) -> Cell:
    return Cell("he", "zoo_cnn", "digits", (), dict(enumerate(trials)), 0)


TRIALS = [
    watched([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]),
    watched([1.0, 4.0, 8.0], [2.0, 2.0, 2.0], seed=1),
    watched([3.0, 6.0, 6.0], [9.0, 9.0, 9.0], seed=2),
]


def test_curves_are_median_and_quartiles_over_trials() -> None:
    found = layers_over_training(WEIGHTS, "w", cell(*TRIALS))
    assert found is not None
    assert (found.layers, found.steps, found.n) == (["main.z", "main.a"], [0, 10, 20], [3, 3, 3])
    table = np.array([[1, 2, 4], [1, 4, 8], [3, 6, 6]])
    assert found.median[0] == np.median(table, axis=0).tolist()
    assert found.low[0] == np.quantile(table, 0.25, axis=0).tolist()
    assert found.high[0] == np.quantile(table, 0.75, axis=0).tolist()
    assert (found.measure, found.unit) == ("w", "deviation")


def test_trials_that_diverged_count_as_far_as_they_came() -> None:
    short = watched([9.0], [9.0], seed=3)
    found = layers_over_training(WEIGHTS, "w", cell(*TRIALS, short))
    assert found is not None
    assert found.n == [4, 3, 3]
    assert found.median[0] == [2.0, 4.0, 6.0]
    alone = layers_over_training(WEIGHTS, "w", cell(short))
    assert alone is not None
    assert (alone.steps, alone.median) == ([0], [[9.0], [9.0]])


def test_what_is_not_finite_is_left_open() -> None:
    found = layers_over_training(WEIGHTS, "w", cell(watched([1.0, None, 2.0], [1.0, 1.0, 1.0])))
    assert found is not None
    assert found.median[0] == [1.0, None, 2.0]


def test_only_layers_that_count_are_shown_and_only_by_measures_that_follow_them() -> None:
    last = ScaleDrift(ScaleDriftConfig(layer="last"))
    found = layers_over_training(last, "w", cell(*TRIALS))
    assert found is not None
    assert found.layers == ["main.a"]
    assert layers_over_training(ACCURACY, "a", cell(*TRIALS)) is None
    assert layers_over_training(WEIGHTS, "w", cell(record())) is None


def test_the_last_layer_is_the_last_in_forward_order() -> None:
    found = last_layer(cell(*TRIALS))
    assert found is not None
    assert (found.layer, found.steps) == ("main.a", [0, 10, 20])
    assert found.mean["weight"] == [2.0, 2.0, 2.0]
    assert found.deviation["weight"] == [2.0, 2.0, 2.0]
    assert found.deviation["activation"] == pytest.approx([math.sqrt(2)] * 3)
    assert last_layer(cell(record())) is None
