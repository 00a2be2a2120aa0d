from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from initbench.statistics.equivalence import tost_paired, tost_welch
from initbench.statistics.interval import paired_interval, welch_interval

A = [0.91, 0.93, 0.92, 0.95, 0.90, 0.91]
B = [0.90, 0.90, 0.93, 0.92, 0.88, 0.92]


def tost_by_hand(difference: float, error: float, df: float, margin: float) -> float:
    too_low = stats.t.sf((difference + margin) / error, df)
    too_high = stats.t.cdf((difference - margin) / error, df)
    return float(max(too_low, too_high))


@pytest.mark.parametrize("margin", [0.001, 0.01, 0.03])
def test_rule_19_paired_and_welch_by_hand(margin: float) -> None:
    d = np.subtract(A, B)
    paired = tost_by_hand(d.mean(), d.std(ddof=1) / math.sqrt(6), 5, margin)
    assert tost_paired(A, B, margin) == pytest.approx(paired)
    v, w = np.var(A, ddof=1) / 6, np.var(B, ddof=1) / 6
    df = float((v + w) ** 2 / (v**2 / 5 + w**2 / 5))
    welch = tost_by_hand(d.mean(), math.sqrt(v + w), df, margin)
    assert tost_welch(A, B, margin) == pytest.approx(welch)


accuracies = st.integers(0, 100).map(lambda k: k / 100)


@given(st.lists(st.tuples(accuracies, accuracies), min_size=3, max_size=8), accuracies)
def test_equivalence_at_5_percent_is_the_90_percent_interval_within_the_margin(
    sample: list[tuple[float, float]], margin: float
) -> None:
    a, b = (np.array(x) for x in zip(*sample, strict=True))
    margin += 0.0012345
    for tost, interval in ((tost_paired, paired_interval), (tost_welch, welch_interval)):
        p, found = tost(a, b, margin), interval(a, b, 0.9)
        if found is not None:
            assert p is not None
            assert (p < 0.05) == (-margin < found.low and found.high < margin)
            assert tost(b, a, margin) == pytest.approx(p)


def test_rule_20_without_variance() -> None:
    six = np.linspace(0.5, 0.8, 6)
    assert tost_paired(six, six + 0.01, 0.02) == 1 / 2**6
    assert tost_paired(six, six, 0.02) == 1 / 2**6
    assert tost_paired(six, six + 0.03, 0.02) == 1.0
    assert tost_paired(six[:5], six[:5], 0.02) is None
    ones = np.ones(6)
    assert tost_welch(ones, ones, 0.1) == 1 / math.comb(12, 6)
    assert tost_welch(ones, ones + 1, 0.1) == 1.0
    assert tost_welch(ones[:5], ones, 0.1) is None


def test_one_value_shows_nothing() -> None:
    assert tost_paired([0.9], [0.9], 0.1) is None
    assert tost_welch([0.9], [0.9, 0.8], 0.1) is None


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_an_impossible_margin_is_refused(margin: float) -> None:
    for tost in (tost_paired, tost_welch):
        with pytest.raises(ValueError, match="margin"):
            tost(A, B, margin)


def test_a_difference_at_the_margin_is_called_equivalent_in_five_percent_of_cases() -> None:
    draws = np.random.default_rng(0).normal(loc=1.0, size=(1500, 12))
    ps = [tost_paired(draw, np.zeros(12), 1.0) for draw in draws]
    assert np.mean([p is not None and p <= 0.05 for p in ps]) == pytest.approx(0.05, abs=0.018)


def test_equivalence_is_seldom_claimed_of_a_difference_as_large_as_the_margin() -> None:
    rng, suites, wrong = np.random.default_rng(0), 1000, 0
    for _ in range(suites):
        values = rng.normal(0.01, 0.005, 12)
        p = tost_paired(values, np.zeros(12), 0.01)
        wrong += p is not None and p <= 0.05
    assert 0.03 < wrong / suites < 0.07
