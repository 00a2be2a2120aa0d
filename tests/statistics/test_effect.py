from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.statistics.effect import (
    cohens_d,
    correlation,
    hedges_g,
    probability_of_improvement,
)

A = [0.91, 0.93, 0.92, 0.95, 0.90]
B = [0.90, 0.90, 0.93, 0.92, 0.88]


def test_cohens_d_divides_by_the_root_mean_square_of_the_deviations() -> None:
    sd = math.sqrt((np.var(A, ddof=1) + np.var(B, ddof=1)) / 2)
    assert cohens_d(A, B) == pytest.approx((np.mean(A) - np.mean(B)) / sd)


def test_for_groups_of_equal_size_and_variance_g_is_the_textbook_hedges_g() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([2.0, 3, 4, 5])
    pooled = math.sqrt((3 * a.var(ddof=1) + 3 * b.var(ddof=1)) / 6)
    exact = math.gamma(3) / (math.sqrt(3) * math.gamma(2.5))  # J(6)
    assert hedges_g(a, b, paired=False) == pytest.approx(-1 / pooled * exact)
    assert exact == pytest.approx(1 - 3 / (4 * 6 - 1), abs=2e-3)


def test_unequal_groups_have_the_degrees_of_freedom_of_delacre() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([2.0, 9, 4, 5, 1, 0])
    v, w = a.var(ddof=1), b.var(ddof=1)
    f = 3 * 5 * (v + w) ** 2 / (5 * v**2 + 3 * w**2)
    d, g = cohens_d(a, b), hedges_g(a, b, paired=False)
    assert d is not None
    assert g == pytest.approx(d * (1 - 3 / (4 * f - 1)), rel=3e-3)


def test_rule_14_g_does_not_move_with_the_correlation_within_pairs() -> None:
    a = np.array([1.0, 2, 3, 4, 5, 6])
    apart, together = a[::-1] + 1, a + 1.0
    assert hedges_g(apart, a, paired=True) == pytest.approx(hedges_g(together, a, paired=True))


def test_the_correction_removes_the_bias() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, (4000, 5)), rng.normal(0, 1, (4000, 5))
    g = [hedges_g(x, y, paired=False) for x, y in zip(a, b, strict=True)]
    d = [cohens_d(x, y) for x, y in zip(a, b, strict=True)]
    assert np.mean(np.array(g, dtype=float)) == pytest.approx(0.5, abs=0.035)
    assert np.mean(np.array(d, dtype=float)) > 0.52


def test_where_no_effect_size_is_defined() -> None:
    assert hedges_g([1.0], [2.0], paired=True) is None
    assert hedges_g([1.0, 2.0], [2.0, 5.0], paired=True) is None  # rule 14: three pairs at least
    assert hedges_g([1.0, 2.0], [2.0, 5.0], paired=False) is not None
    assert hedges_g([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], paired=True) is None
    assert hedges_g(A, A, paired=True) == 0


values = st.lists(st.integers(0, 20).map(float), min_size=3, max_size=8)


@given(values, values, st.integers(-5, 5))
def test_swapping_flips_the_sign_and_a_shift_changes_nothing(
    a: list[float], b: list[float], shift: int
) -> None:
    g = hedges_g(a, b, paired=False)
    swapped = hedges_g(b, a, paired=False)
    shifted = hedges_g([x + shift for x in a], [x + shift for x in b], paired=False)
    if g is None:
        assert swapped is shifted is None
    else:
        assert (swapped, shifted) == pytest.approx((-g, g))
    for paired in (False, len(a) == len(b)):
        won = probability_of_improvement(a, b, paired=paired)
        lost = probability_of_improvement(b, a, paired=paired)
        assert won is not None
        assert lost is not None
        assert won + lost == pytest.approx(1)


def test_rule_15_probability_of_improvement_by_counting() -> None:
    a, b = [1.0, 2.0, 3.0, math.inf], [1.0, 1.0, 4.0, 2.0]
    assert probability_of_improvement(a, b, paired=True) == (0.5 + 1 + 0 + 1) / 4
    assert probability_of_improvement(a, b, paired=True, higher_is_better=False) == 1.5 / 4
    won = sum((x > y) + 0.5 * (x == y) for x in a for y in b) / 16
    assert probability_of_improvement(a, b, paired=False) == won
    assert probability_of_improvement([], [], paired=True) is None


def test_correlation_needs_three_pairs_and_variance() -> None:
    assert correlation([1, 2, 3], [2, 4, 7]) == pytest.approx(
        np.corrcoef([1, 2, 3], [2, 4, 7])[0, 1]
    )
    assert correlation([1, 2], [2, 4]) is None
    assert correlation([1, 1, 1], [2, 4, 7]) is None
