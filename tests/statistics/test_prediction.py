"""Prediction intervals: where a published value should lie if its runs are like ours."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from initbench.statistics.interval import mean_interval
from initbench.statistics.prediction import bootstrap_prediction, prediction_interval

VALUES = [0.90, 0.92, 0.91, 0.95, 0.93]


def test_the_formula_for_a_single_value() -> None:
    t = stats.t.ppf(0.975, 4)
    half = t * np.std(VALUES, ddof=1) * math.sqrt(1 / 5 + 1)

    interval = prediction_interval(VALUES, 1)

    assert interval == pytest.approx((fmean(VALUES) - half, fmean(VALUES) + half))


def test_many_published_runs_leave_the_interval_of_our_mean() -> None:
    assert prediction_interval(VALUES, 10**9) == pytest.approx(mean_interval(VALUES))


def test_a_number_of_runs_that_is_not_stated_gives_the_widest_interval() -> None:
    assert prediction_interval(VALUES, None) == prediction_interval(VALUES, 1)


@pytest.mark.parametrize("values", [[0.9], [0.9, 0.9, 0.9]])
def test_one_value_and_no_variance_predict_nothing(values: list[float]) -> None:
    assert prediction_interval(values, 25) is None


def test_it_covers_the_mean_of_the_other_laboratory_as_often_as_it_says() -> None:
    chance = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        interval = prediction_interval(chance.normal(size=5), 3)
        assert interval is not None
        covered += interval.low <= chance.normal(size=3).mean() <= interval.high

    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_bootstrap_covers_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        ours = list(chance.normal(size=25))
        interval = bootstrap_prediction(ours, fmean, 25)
        assert interval is not None
        covered += interval.low <= chance.normal(size=25).mean() <= interval.high

    assert covered / 200 == pytest.approx(0.95, abs=0.05)


def test_the_bootstrap_agrees_with_the_formula_for_a_mean() -> None:
    ours = list(np.random.default_rng(3).normal(10, 1, size=40))

    assert bootstrap_prediction(ours, fmean, 25) == pytest.approx(
        prediction_interval(ours, 25), abs=0.1
    )


def test_the_bootstrap_needs_twenty_items() -> None:
    assert bootstrap_prediction([1.0] * 19, fmean, 25) is None


def test_a_target_that_is_missed_makes_an_end_infinite_and_never_nan() -> None:
    interval = bootstrap_prediction([3.0] * 15 + [math.inf] * 5, max, 1)

    assert interval == (3.0, math.inf)


def test_the_same_items_give_the_same_interval() -> None:
    assert bootstrap_prediction(VALUES * 5, fmean, 25) == bootstrap_prediction(
        VALUES * 5, fmean, 25
    )
