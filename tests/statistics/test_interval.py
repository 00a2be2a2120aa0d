from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from initbench.statistics.interval import (
    SMALLEST_BOOTSTRAP,
    bca_independent,
    bca_mean,
    bca_paired,
    mean_interval,
    median_interval,
    paired_interval,
    welch_interval,
)
from initbench.statistics.sample import Values

A = [0.91, 0.93, 0.92, 0.95, 0.90]
B = [0.90, 0.90, 0.93, 0.92, 0.88]


def by_hand(difference: float, error: float, df: float, confidence: float) -> tuple[float, float]:
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    return difference - half, difference + half


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_of_a_mean_is_the_t_interval(confidence: float) -> None:
    error = float(np.std(A, ddof=1)) / math.sqrt(5)
    expected = by_hand(float(np.mean(A)), error, 4, confidence)
    assert mean_interval(A, confidence) == pytest.approx(expected)


def test_the_paired_interval_is_that_of_the_differences() -> None:
    differences = np.subtract(A, B)
    assert paired_interval(A, B, 0.9) == pytest.approx(mean_interval(differences, 0.9))


def test_the_welch_interval_has_the_degrees_of_freedom_of_satterthwaite() -> None:
    b = [*B, 0.6, 0.99]
    v, w = np.var(A, ddof=1) / 5, np.var(b, ddof=1) / 7
    df = float((v + w) ** 2 / (v**2 / 4 + w**2 / 6))
    expected = by_hand(float(np.mean(A) - np.mean(b)), math.sqrt(v + w), df, 0.95)
    assert welch_interval(A, b) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.9, 0.9], [0.3 - 0.2, 0.2 - 0.1]])
def test_rule_7_one_value_or_no_variance_has_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1.0], [2.0]), ([0.9, 0.7], [0.8, 0.6]), ([1.0, 1.0], [2.0, 2.0])]
)
def test_rule_16_pairs_without_variance_have_no_interval(a: Values, b: Values) -> None:
    assert paired_interval(a, b) is None


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0])])
def test_rule_16_groups_without_variance_have_no_interval(a: Values, b: Values) -> None:
    assert welch_interval(a, b) is None


def test_welch_takes_one_group_without_variance_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    interval = welch_interval([1.0] * 4, [1.0, 2.0, 3.0, 4.0])
    error = float(np.std([1, 2, 3, 4], ddof=1)) / 2
    assert interval == pytest.approx(by_hand(-1.5, error, 3, 0.95))
    assert not recwarn.list


def test_rule_8_no_bootstrap_below_20_values() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, SMALLEST_BOOTSTRAP))
    assert SMALLEST_BOOTSTRAP == 20
    assert bca_paired(a, b) is not None
    assert bca_independent(a, b) is not None
    assert bca_paired(a[1:], b[1:]) is None
    assert bca_independent(a[1:], b) is None
    assert bca_paired(a, a + 1) is None
    assert bca_independent(np.ones(20), np.zeros(20)) is None


def test_bca_is_close_to_t_for_normal_values_and_skewed_for_skewed_ones() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 60))
    bca, t = bca_paired(a, b), paired_interval(a, b)
    assert bca is not None
    assert bca == pytest.approx(t, abs=0.06)
    assert bca_independent(a, b) == pytest.approx(welch_interval(a, b), abs=0.06)
    skewed = rng.lognormal(size=60)
    bca = bca_paired(skewed, np.zeros(60))
    assert bca is not None
    assert bca.high - skewed.mean() > skewed.mean() - bca.low


def test_rule_8_the_bootstrap_gives_the_same_numbers_each_time() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 25))
    assert bca_paired(a, b) == bca_paired(a, b)
    assert bca_paired(a, b, 0.9) != bca_paired(a, b, 0.95)


@pytest.mark.parametrize("n", [3, 10])
def test_nominal_95_percent_intervals_cover_95_percent(n: int) -> None:
    draws = np.random.default_rng(3).normal(loc=1.0, size=(1500, n))
    intervals = [mean_interval(draw) for draw in draws]
    covered = np.mean([i is not None and i.low <= 1 <= i.high for i in intervals])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_infinite_values_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, math.inf])


def test_rule_8_a_cell_has_bootstrap_intervals_of_mean_and_median_from_20_values_on() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    bca, median = bca_mean(values), median_interval(values)
    assert bca is not None
    assert median is not None
    assert bca.low < values.mean() < bca.high
    assert values.mean() - bca.low < bca.high - values.mean()  # the longer tail is on the right
    assert median.low <= np.median(values) <= median.high
    # Order statistics hold the median with 95 %: the 14th and 27th of 40.
    ordered = np.sort(values)
    assert ordered[12] <= median.low <= ordered[15]
    assert ordered[24] <= median.high <= ordered[27]
    few = values[: SMALLEST_BOOTSTRAP - 1]
    assert bca_mean(few) is None
    assert median_interval(few) is None
    assert bca_mean(np.ones(30)) is None
    assert median_interval(np.ones(30)) is None
