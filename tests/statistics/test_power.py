from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from initbench.statistics.power import (
    MOST_SEEDS,
    Spread,
    minimal_detectable_difference,
    power_of_difference,
    power_of_equivalence,
    seeds_for_difference,
    seeds_for_equivalence,
)

DRAWS = 20_000


def simulated_power(n: int, difference: float, level: float) -> float:
    """Draw many samples of n differences with deviation 1 and count significant ones."""
    draws = np.random.default_rng(n).normal(difference, 1, (DRAWS, n))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    return float(np.mean(t > stats.t.isf(level / 2, n - 1)))


def simulated_equivalence(n: int, difference: float, margin: float, level: float) -> float:
    draws = np.random.default_rng(n).normal(difference, 1, (DRAWS, n))
    error = draws.std(axis=1, ddof=1) / math.sqrt(n)
    half = stats.t.isf(level, n - 1) * error
    mean = draws.mean(axis=1)
    return float(np.mean((mean - half > -margin) & (mean + half < margin)))


@pytest.mark.parametrize(("difference", "level"), [(0.5, 0.05), (1.0, 0.05), (1.0, 0.05 / 11)])
def test_rule_24_the_seeds_for_a_difference_by_simulation(difference: float, level: float) -> None:
    n = seeds_for_difference(Spread(1.0), difference, level)
    assert n is not None
    assert simulated_power(n, difference, level) == pytest.approx(0.81, abs=0.025)
    assert power_of_difference(Spread(1.0), difference, n, level) >= 0.8
    assert power_of_difference(Spread(1.0), difference, n - 1, level) < 0.8


@pytest.mark.parametrize(("difference", "margin"), [(0.0, 0.5), (0.2, 0.8), (-0.2, 0.8)])
def test_rule_24_the_seeds_for_equivalence_by_simulation(difference: float, margin: float) -> None:
    n = seeds_for_equivalence(Spread(1.0), difference, margin, 0.05)
    assert n is not None
    assert simulated_equivalence(n, difference, margin, 0.05) == pytest.approx(0.81, abs=0.025)
    assert power_of_equivalence(Spread(1.0), difference, n - 1, margin, 0.05) < 0.8


@pytest.mark.parametrize(
    ("sd", "difference", "level", "expected"),
    [(0.15, 0.2, 0.05, 10), (0.15, 0.1, 0.05, 37), (0.15, 0.1, 0.05 / 12, 64),
     (0.25, 0.1, 0.05 / 12, 174)],
)  # fmt: skip
def test_seeds_a_group_agree_with_numbers_known_from_elsewhere(
    sd: float, difference: float, level: float, expected: int
) -> None:
    two_equal_groups = Spread(sd * math.sqrt(2), freedom=2)
    found = seeds_for_difference(two_equal_groups, difference, level)
    assert found == pytest.approx(expected, abs=1)


def test_where_no_number_of_seeds_decides() -> None:
    assert seeds_for_difference(Spread(1.0), 0.0, 0.05) is None
    assert seeds_for_difference(Spread(1.0), 1e-4, 0.05) is None  # beyond the search
    assert seeds_for_equivalence(Spread(1.0), 0.1, 0.1, 0.05) is None
    assert seeds_for_equivalence(Spread(1.0), 0.0, 1e-4, 0.05) is None


def test_the_search_reaches_its_end_and_survives_huge_effects() -> None:
    level = 0.05
    smallest = minimal_detectable_difference(Spread(1.0), MOST_SEEDS, level)
    assert smallest is not None
    n = seeds_for_difference(Spread(1.0), smallest * 1.001, level)
    assert n == pytest.approx(MOST_SEEDS, rel=0.01)
    assert seeds_for_difference(Spread(1e-12), 1.0, level) == 2


def test_the_spread_is_estimated_from_pairs_or_groups() -> None:
    a, b = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0])
    assert Spread.of_pairs(a, b) == Spread(float((a - b).std(ddof=1)))
    groups = Spread.of_groups(a, [1.0, 1.5, 3.0, 9.0])
    v, w = a.var(ddof=1), np.var([1.0, 1.5, 3.0, 9.0], ddof=1)
    assert groups is not None
    assert groups.sd == pytest.approx(math.sqrt(v + w))
    assert groups.freedom == pytest.approx((v + w) ** 2 / (v**2 + w**2))
    assert Spread.of_pairs(a, a + 1) is None
    assert Spread.of_groups([1.0, 1.0], [2.0, 2.0]) is None
    assert Spread.of_pairs([1.0], [2.0]) is None


@pytest.mark.parametrize("n", [5, 10, 25])
def test_rule_26_the_minimal_detectable_difference_agrees_with_statsmodels(n: int) -> None:
    expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert minimal_detectable_difference(Spread(0.02), n) == pytest.approx(
        0.02 * expected, rel=1e-4
    )


@pytest.mark.parametrize("n", [2, 3])
def test_rule_26_it_is_right_for_few_pairs_and_strict_levels_too(n: int) -> None:
    effect = minimal_detectable_difference(Spread(1.0), n, level=0.05 / 12)
    assert effect is not None
    assert simulated_power(n, effect, 0.05 / 12) == pytest.approx(0.8, abs=0.02)
    assert minimal_detectable_difference(Spread(1.0), 1) is None
