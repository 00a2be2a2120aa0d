from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from initbench.measures.activation_variance import ActivationVariance
from initbench.measures.dead_units import DeadUnits
from initbench.measures.gradient_variance import GradientVariance
from initbench.measures.measure import Measure
from initbench.measures.start_up import StartUpConfig, VarianceConfig
from initbench.probes.layers import by_layer, nothing
from initbench.probes.probe import Observation
from initbench.probes.start_up import QUANTILES
from initbench.reporting.cells import Cell
from initbench.reporting.histograms import BINS, REACH, layer_histograms
from initbench.results import LayerHistograms
from tests.factories import record
from tests.reporting.test_layers import Seen


def histograms(
    observations: Mapping[int, Observation], measure: Measure[Any]
) -> LayerHistograms | None:
    records = {seed: record(seed=seed) for seed in range(3)}
    cell = Cell("he", "zoo_cnn", "digits", (), records, 0, observed=Seen(observations))  # type: ignore[arg-type]
    return layer_histograms(measure, measure.label(), cell)


def seen(*layers: np.ndarray, name: str = "activation") -> Observation:
    """What a look at layers with these values keeps."""
    shares = np.linspace(0, 1, QUANTILES)
    quantiles = torch.tensor(np.array([np.quantile(values, shares) for values in layers]))
    variances = {f"layer{i}": float(np.var(values)) for i, values in enumerate(layers)}
    return by_layer({f"{name}_variance": variances}, {f"{name}_quantiles": quantiles})


def draws(seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, scale, 5000)


ACTIVATIONS = ActivationVariance(VarianceConfig())


def test_shares_are_those_of_a_histogram_of_all_values() -> None:
    values = [draws(1), draws(2)]
    found = histograms({i: seen(x) for i, x in enumerate(values)}, ACTIVATIONS)
    assert found is not None
    (deviation,) = found.deviations
    assert deviation == pytest.approx(1.0, rel=0.05)
    assert found.reach == pytest.approx(REACH * deviation)
    edges = np.linspace(-found.reach, found.reach, BINS + 1)
    expected = np.mean([np.histogram(x, edges)[0] / len(x) for x in values], axis=0)
    assert found.shares[0] == pytest.approx(expected, abs=0.004)
    assert sum(found.shares[0]) + found.beyond[0] == pytest.approx(1)


def test_layers_share_an_axis_so_that_growth_shows() -> None:
    found = histograms({0: seen(draws(1, 0.01), draws(2, 1.0), draws(3, 50.0))}, ACTIVATIONS)
    assert found is not None
    assert found.reach == pytest.approx(3.0, rel=0.1)
    small, middle, large = found.shares
    assert max(small) > 0.4 > max(middle) > max(large)
    assert found.beyond[2] > 0.9


def test_a_layer_that_is_not_finite_is_left_open() -> None:
    observation = seen(draws(1), draws(2))
    observation.tensors["activation_quantiles"][1, -1] = float("inf")
    found = histograms({0: observation}, ACTIVATIONS)
    assert found is not None
    assert found.deviations[1] is None
    assert not any(found.shares[1])
    observation.tensors["activation_quantiles"][0, 0] = float("nan")
    assert histograms({0: observation}, ACTIVATIONS) is None


def test_a_layer_of_zeros_is_one_bar() -> None:
    found = histograms({0: seen(np.zeros(100), draws(1))}, ACTIVATIONS)
    assert found is not None
    assert found.deviations[0] == 0
    assert sum(found.shares[0]) == pytest.approx(1)


def test_what_it_is_of_is_what_the_measure_is_of() -> None:
    last = GradientVariance(VarianceConfig(checkpoint="last"))
    found = histograms({0: seen(draws(1), name="gradient")}, last)
    assert found is not None
    assert (found.quantity, found.checkpoint) == ("gradients", "last")
    assert found.measure == "gradient_variance.last"


def test_without_a_look_or_distributions_there_is_none() -> None:
    assert histograms({}, ACTIVATIONS) is None
    assert histograms({0: nothing("no network")}, ACTIVATIONS) is None
    one_layer = ActivationVariance(VarianceConfig(layer="layer0"))
    assert histograms({0: seen(draws(1))}, one_layer) is None
    assert histograms({0: seen(draws(1))}, DeadUnits(StartUpConfig())) is None
