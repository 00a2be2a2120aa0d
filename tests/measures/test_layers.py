from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from initbench.measures.activation_variance import ActivationVariance
from initbench.measures.channel_correlation import ChannelCorrelation, ChannelCorrelationConfig
from initbench.measures.dead_units import DeadUnits
from initbench.measures.distance_travelled import DistanceTravelled, DistanceTravelledConfig
from initbench.measures.gradient_variance import GradientVariance
from initbench.measures.layers import LayerMeasure, spread
from initbench.measures.logit_entropy import LogitEntropy
from initbench.measures.measure import NetworkMeasure
from initbench.measures.nearest_neighbour import NearestNeighbour, NearestNeighbourConfig
from initbench.measures.start_up import ShownConfig, StartUpConfig, VarianceConfig
from initbench.measures.weight_norm import WeightNorm, WeightNormConfig
from initbench.probes.layers import by_layer, nothing
from initbench.probes.probe import Observation
from initbench.probes.start_up import StartUp
from initbench.probes.weights import Travel, Weights
from initbench.store.record import TrialStatus
from tests.factories import record

DONE, FAILED = record(), record(status=TrialStatus.FAILED, final={}, curves={})


def seen(
    quantity: str, values: dict[str, float], others: dict[str, float] | None = None
) -> Observation:
    return by_layer({quantity: values}, {k: torch.tensor(v) for k, v in (others or {}).items()})


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_the_spread_is_the_distance_from_the_geometric_mean(variances: list[float]) -> None:
    product = math.prod(v ** (1 / len(variances)) for v in variances)
    expected = [abs(math.log10(v / product)) for v in variances]
    found = spread({str(i): v for i, v in enumerate(variances)})
    assert list(found.values()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("bad", [0.0, math.inf, math.nan])
@pytest.mark.parametrize("measure", [ActivationVariance, GradientVariance])
def test_a_layer_without_a_variance_is_infinitely_bad(
    measure: type[ActivationVariance], bad: float
) -> None:
    observation = seen(measure.name, {"conv1": 1.0, "conv2": bad})
    assert measure(VarianceConfig()).of_observation(observation, DONE) == math.inf


@pytest.mark.parametrize("measure", [ActivationVariance, GradientVariance])
def test_unequal_variances_are_measured_in_powers_of_ten(
    measure: type[ActivationVariance],
) -> None:
    observation = seen(measure.name, {"a": 0.01, "b": 1.0, "c": 100.0})
    assert measure(VarianceConfig()).of_observation(observation, DONE) == pytest.approx(4 / 3)
    assert measure(VarianceConfig(layer="c")).of_observation(observation, DONE) == pytest.approx(2)
    assert measure(VarianceConfig()).by_layer(observation) == {"a": 0.01, "b": 1.0, "c": 100.0}


def test_dead_units_are_a_mean_over_rectifiers() -> None:
    observation = seen("dead_units", {"conv1": 0.5, "conv2": 0.0})
    assert DeadUnits(StartUpConfig()).of_observation(observation, DONE) == 0.25
    assert DeadUnits(StartUpConfig(layer="conv1")).of_observation(observation, DONE) == 0.5
    assert DeadUnits(StartUpConfig(layer="fc")).of_observation(observation, DONE) is None
    without = seen("activation_variance", {"conv1": 1.0})
    assert DeadUnits(StartUpConfig()).of_observation(without, DONE) is None


@pytest.mark.parametrize(("entropy", "value"), [(2.3, 2.3), (math.nan, 0.0), (0.0, 0.0)])
def test_logits_that_are_not_finite_count_as_certain(entropy: float, value: float) -> None:
    observation = seen("activation_variance", {}, {"logit_entropy": entropy})
    found = LogitEntropy(ShownConfig()).of_observation(observation, DONE)
    assert found == pytest.approx(value)


@pytest.mark.parametrize(
    ("measure", "worst"),
    [
        (ActivationVariance(VarianceConfig()), math.inf),
        (GradientVariance(VarianceConfig()), math.inf),
        (DeadUnits(StartUpConfig()), 1.0),
        (LogitEntropy(ShownConfig()), 0.0),
        (WeightNorm(WeightNormConfig()), None),
        (ChannelCorrelation(ChannelCorrelationConfig()), None),
        (DistanceTravelled(DistanceTravelledConfig()), None),
        (NearestNeighbour(NearestNeighbourConfig()), None),
    ],
)
def test_rule_2_a_failed_start_has_the_worst_score_if_there_is_one(
    measure: NetworkMeasure[StartUpConfig], worst: float | None
) -> None:
    assert measure.worst(FAILED) == worst
    assert measure.worst(DONE) is None
    assert measure.of_observation(nothing("no network"), FAILED) is None


def test_correlations_are_those_asked_for() -> None:
    observation = by_layer(
        {"correlation": {"a": 0.1, "b": 0.3}, "correlation_deviation": {"a": 0.5, "b": 0.7}}
    )
    plain = ChannelCorrelation(ChannelCorrelationConfig())
    assert plain.of_observation(observation, DONE) == pytest.approx(0.2)
    as_released = ChannelCorrelation(ChannelCorrelationConfig(statistic="deviation"))
    assert as_released.of_observation(observation, DONE) == pytest.approx(0.6)
    assert as_released.label() == "channel_correlation.deviation"


def test_norms_are_a_mean_over_layers() -> None:
    observation = seen("norm", {"a": 1.0, "b": 5.0})
    assert WeightNorm(WeightNormConfig()).of_observation(observation, DONE) == 3.0
    assert WeightNorm(WeightNormConfig(layer="b")).of_observation(observation, DONE) == 5.0


TRAVEL = by_layer(
    {"distance": {"a": 1.0, "b": 0.0}, "start": {"a": 4.0, "b": 0.0}},
    {"total_distance": torch.tensor(3.0), "total_start": torch.tensor(6.0)},
)


@pytest.mark.parametrize(
    ("config", "value", "label"),
    [
        ({}, 0.5, "distance_travelled"),
        ({"scale": "absolute"}, 3.0, "distance_travelled.absolute"),
        ({"layer": "a"}, 0.25, "distance_travelled.a"),
        ({"layer": "b"}, 0.0, "distance_travelled.b"),
        ({"layer": "a", "scale": "absolute", "checkpoint": "best"}, 1.0, None),
    ],
)
def test_distances_are_relative_unless_asked_otherwise(
    config: dict[str, str], value: float, label: str | None
) -> None:
    measure = DistanceTravelled(DistanceTravelledConfig.model_validate(config))
    assert measure.of_observation(TRAVEL, DONE) == value
    assert label in (None, measure.label())
    assert measure.unit == ("distance" if config.get("scale") else "norms")


def test_a_way_from_nowhere_is_infinitely_long() -> None:
    measure = DistanceTravelled(DistanceTravelledConfig(layer="a"))
    observation = by_layer({"distance": {"a": 1.0}, "start": {"a": 0.0}})
    assert measure.of_observation(observation, DONE) == math.inf


def test_the_nearest_neighbour_is_measured_by_the_zoo_or_its_norm() -> None:
    observation = by_layer(
        {
            "distance": {"a": 1.0, "b": 0.0, "c": 2.0},
            "between": {"a": 2.0, "b": 5.0, "c": 0.0},
            "norm": {"a": 10.0, "b": 10.0, "c": 10.0},
        }
    )
    by_zoo = NearestNeighbour(NearestNeighbourConfig())
    assert by_zoo.by_layer(observation) == {"a": 0.5, "b": 0.0}  # c: all of the zoo is alike
    assert by_zoo.of_observation(observation, DONE) == 0.25
    by_norm = NearestNeighbour(NearestNeighbourConfig(relative_to="norm"))
    assert by_norm.of_observation(observation, DONE) == pytest.approx(0.1)


def test_measures_with_equal_settings_share_one_look() -> None:
    looks = [
        m.probe().tree()
        for m in (
            ActivationVariance(VarianceConfig(layer="conv1")),
            GradientVariance(VarianceConfig()),
            DeadUnits(StartUpConfig()),
            LogitEntropy(ShownConfig()),
        )
    ]
    assert all(look == looks[0] == StartUp().tree() for look in looks)
    assert DeadUnits(StartUpConfig(batch=32, mode="eval")).probe() == StartUp(32, "eval")
    correlation = ChannelCorrelation(ChannelCorrelationConfig(checkpoint="last"))
    assert correlation.probe() == WeightNorm(WeightNormConfig(checkpoint="last")).probe()
    assert correlation.probe() == Weights("last")
    assert DistanceTravelled(DistanceTravelledConfig()).probe() == Travel("last")


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({}, "dead_units"),
        ({"layer": "conv1"}, "dead_units.conv1"),
        ({"batch": 64, "mode": "eval"}, "dead_units.batch=64.eval"),
    ],
)
def test_labels_name_what_was_set(config: dict[str, object], label: str) -> None:
    measure: LayerMeasure[StartUpConfig] = DeadUnits(StartUpConfig.model_validate(config))
    assert measure.label() == label
