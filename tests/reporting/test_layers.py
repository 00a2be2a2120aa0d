from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from initbench.measures.activation_variance import ActivationVariance
from initbench.measures.dead_units import DeadUnits
from initbench.measures.measure import Measure
from initbench.measures.start_up import StartUpConfig, VarianceConfig
from initbench.probes.layers import by_layer, nothing
from initbench.probes.probe import Observation
from initbench.reporting.cells import Cell
from initbench.reporting.layers import layer_band
from initbench.results import LayerBand
from tests.factories import record
from tests.reporting.cases import ACCURACY


class Seen:
    """What was seen of each trial, in a test's hands."""

    def __init__(self, observations: Mapping[int, Observation]) -> None:
        self._observations = observations

    def of_trial(self, label: str, names: Mapping[str, str], seed: int) -> Observation | None:
        return self._observations.get(seed)


def band(observations: Mapping[int, Observation], measure: Measure[Any]) -> LayerBand | None:
    records = {seed: record(seed=seed) for seed in range(4)}
    cell = Cell("he", "zoo_cnn", "digits", (), records, 0, observed=Seen(observations))
    return layer_band(measure, measure.label(), cell)


DEAD = DeadUnits(StartUpConfig())
SHARES = {0: [0.1, 0.4], 1: [0.2, 0.5], 2: [0.6, 0.3], 3: [0.0, 0.0]}


def test_the_band_is_median_and_quartiles_over_trials() -> None:
    trials = {
        seed: by_layer({"dead_units": {"conv1": a, "conv2": b}}) for seed, (a, b) in SHARES.items()
    }
    found = band(trials, DEAD)
    assert found is not None
    assert (found.initialiser, found.measure, found.unit) == ("he", "dead_units", "fraction")
    assert (found.layers, found.n, found.logarithmic) == (["conv1", "conv2"], 4, False)
    table = np.array(list(SHARES.values()))
    assert found.median == pytest.approx(np.median(table, axis=0))
    assert found.low == pytest.approx(np.quantile(table, 0.25, axis=0))
    assert found.high == pytest.approx(np.quantile(table, 0.75, axis=0))


def test_trials_that_nobody_looked_at_are_left_out() -> None:
    found = band({1: by_layer({"dead_units": {"conv1": 0.5}}), 2: nothing("no network")}, DEAD)
    assert found is not None
    assert (found.n, found.median, found.notes) == (1, [0.5], ["no network"])
    assert band({}, DEAD) is None
    assert band({0: nothing("no network")}, DEAD) is None


def test_what_is_not_finite_is_left_open() -> None:
    observation = by_layer({"activation_variance": {"conv1": 1.0, "conv2": float("inf")}})
    found = band({0: observation}, ActivationVariance(VarianceConfig()))
    assert found is not None
    assert (found.unit, found.logarithmic) == ("variance", True)
    assert (found.median, found.high) == ([1.0, None], [1.0, None])


def test_measures_of_one_layer_or_none_have_no_band() -> None:
    observation = by_layer({"dead_units": {"conv1": 0.5}}, {"logit_std": torch.tensor(1.0)})
    assert band({0: observation}, DeadUnits(StartUpConfig(layer="conv1"))) is None
    assert band({0: observation}, ACCURACY) is None
