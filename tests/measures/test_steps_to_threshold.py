from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from initbench.measures.steps_to_threshold import StepsToThreshold, StepsToThresholdConfig
from initbench.store.record import Cost, Record, TrialStatus
from tests.factories import record
from tests.measures.test_curve import curve

Unit = Literal["step", "epoch", "evaluation", "image"]

RECIPE = {"epochs": 4, "batch_size": 32, "evaluation": {"every": 1, "unit": "epoch"}}
COST = Cost(
    wall_seconds=1, device_seconds=1, peak_memory_bytes=1, images_seen=40 * 30, steps=40
)  # 10 steps an epoch; the last batch is smaller, 30 images on average


def trial(*values: float | None, **fields: Any) -> Record:
    """A trial with an evaluation every 10 steps, of which a complete run has 40."""
    defaults = {"curves": curve(*values), "cost": COST, "identity": {"recipe": RECIPE}}
    return record(**{**defaults, "budget_steps": 40, **fields})


def measure(threshold: float = 0.65, unit: Unit = "step") -> StepsToThreshold:
    return StepsToThreshold(StepsToThresholdConfig(threshold=threshold, unit=unit))


def test_rule_6_the_first_evaluation_at_or_above_the_threshold() -> None:
    assert measure().of_record(trial(0.1, 0.5, 0.65, 0.6, 0.9)) == 20
    assert measure().of_record(trial(0.1, 0.5, 0.6499, 0.66, 0.9)) == 30
    assert measure().of_record(trial(0.7, 0.5)) == 0
    assert measure().of_record(trial(0.1, None, 0.7)) == 20


@pytest.mark.parametrize(
    ("unit", "value", "cap"),
    [("step", 20, 40), ("epoch", 2.0, 4.0), ("evaluation", 2, 4), ("image", 600, 1200)],
)
def test_each_unit_counts_its_own_and_has_a_complete_run_as_cap(
    unit: Unit, value: float, cap: float
) -> None:
    chosen = measure(unit=unit)
    assert chosen.of_record(trial(0.1, 0.5, 0.7)) == value
    assert chosen.cap(trial(0.1, 0.5)) == cap
    assert chosen.unit == f"{unit}s"
    assert chosen.label() == f"{unit}s_to_0.65"


@pytest.mark.parametrize(
    ("every", "unit", "last"), [(3, "epoch", 2), (2, "epoch", 2), (7, "batch", 6), (40, "batch", 1)]
)
def test_the_last_evaluation_is_at_the_end_whatever_the_cadence(
    every: int, unit: str, last: int
) -> None:
    recipe = {**RECIPE, "evaluation": {"every": every, "unit": unit}}
    assert measure(unit="evaluation").cap(trial(0.1, identity={"recipe": recipe})) == last


def test_images_of_a_trial_that_failed_before_its_first_step_are_those_of_full_batches() -> None:
    unstarted = COST.model_copy(update={"images_seen": 0, "steps": 0})
    assert measure(unit="image").cap(trial(cost=unstarted, curves={})) == 40 * 32


def test_rule_4_a_miss_is_infinite_and_rule_2_so_is_a_failure() -> None:
    assert measure().of_record(trial(0.1, 0.5, 0.6)) == math.inf
    assert measure().worst(trial(0.1, 0.9, status=TrialStatus.DIVERGED)) == math.inf


def test_rule_6_the_mean_curve_crosses_later_than_the_fastest_trial() -> None:
    trials = [trial(0.1, 0.9, 0.9), trial(0.1, 0.1, 0.6), trial(0.1, 0.5, 0.5)]
    assert [measure().of_record(t) for t in trials] == [10, math.inf, math.inf]
    assert measure().of_population(trials) == 20  # means 0.1, 0.5, 0.667
    assert measure(unit="image").of_population(trials) == 600
    assert measure(0.7).of_population(trials) == math.inf


def test_rounding_of_a_mean_does_not_cost_an_evaluation() -> None:
    assert (0.6 + 0.7) / 2 < 0.65
    assert measure().of_population([trial(0.1, 0.6, 0.9), trial(0.1, 0.7, 0.9)]) == 10


def test_rule_5_a_diverged_trial_pulls_the_mean_curve_down_to_chance() -> None:
    good = trial(0.1, 0.6, 0.7, 0.8)
    diverged = trial(0.1, 0.6, status=TrialStatus.DIVERGED)
    assert measure(0.6).of_population([good, diverged]) == 10
    assert measure(0.65).of_population([good, diverged]) == math.inf  # mean at the end: 0.45
    failed = trial(curves={}, status=TrialStatus.FAILED)
    assert measure(0.4).of_population([good, failed]) == 20  # means 0.1, 0.35, 0.4
    assert measure().of_population([failed]) == math.inf


@given(
    st.lists(
        st.lists(st.integers(0, 100).map(lambda k: k / 100), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 100).map(lambda k: k / 100),
)
def test_a_mean_curve_never_crosses_before_every_trial_has_a_chance_to(
    curves: list[list[float]], threshold: float
) -> None:
    chosen, trials = measure(threshold), [trial(*values) for values in curves]
    population = chosen.of_population(trials)
    assert population is not None
    assert population >= min(chosen.of_record(t) for t in trials)
    assert chosen.of_population(trials[:1]) == chosen.of_record(trials[0])


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, 65, math.nan, math.inf])
def test_an_impossible_threshold_is_refused_with_a_hint(threshold: float) -> None:
    with pytest.raises(ValidationError, match=r"above 0 and at most 1, got .*65 % is written 0.65"):
        StepsToThresholdConfig(threshold=threshold)


def test_a_threshold_of_one_is_possible_and_none_is_not_assumed() -> None:
    assert measure(1).of_record(trial(0.1, 1.0)) == 10
    with pytest.raises(ValidationError, match="Field required"):
        StepsToThresholdConfig.model_validate({})


def test_a_threshold_that_is_not_above_chance_is_noted() -> None:
    assert "not above chance (0.1)" in measure(0.1).note([trial(0.1, classes=10)])
    assert "not above chance (0.5)" in measure(0.4).note([trial(0.1, classes=2)])
    assert measure(0.11).note([trial(0.1, classes=10)]) == ""
    assert measure(0.11).note([]) == ""
