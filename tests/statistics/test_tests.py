from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from initbench.statistics.tests import (
    TTest,
    log_rank,
    mann_whitney,
    one_sided_separation_p,
    one_sided_sign_p,
    paired_t,
    shapiro_wilk,
    student,
    welch,
    wilcoxon,
)

A = [0.91, 0.93, 0.92, 0.95, 0.90]
B = [0.90, 0.90, 0.93, 0.92, 0.88]
accuracies = st.integers(0, 1000).map(lambda k: k / 1000)
pairs = st.lists(st.tuples(accuracies, accuracies), min_size=2, max_size=12)


def test_paired_t_by_hand() -> None:
    d = np.subtract(A, B)
    t = d.mean() / (d.std(ddof=1) / math.sqrt(5))
    result = paired_t(A, B)
    assert result is not None
    assert (result.statistic, result.df) == pytest.approx((t, 4))
    assert result.p == pytest.approx(2 * stats.t.sf(abs(t), 4))


def test_welch_by_hand() -> None:
    b = [*B, 0.5]
    v, w = np.var(A, ddof=1) / 5, np.var(b, ddof=1) / 6
    t = (np.mean(A) - np.mean(b)) / math.sqrt(v + w)
    df = (v + w) ** 2 / (v**2 / 4 + w**2 / 5)
    result = welch(A, b)
    assert result is not None
    assert (result.statistic, result.df) == pytest.approx((t, df))
    assert result.p == pytest.approx(2 * stats.t.sf(abs(t), df))


def test_two_pairs_are_enough_and_one_is_not() -> None:
    two = paired_t([1.0, 2.0], [0.0, 0.5])
    assert two is not None
    assert two.p == pytest.approx(2 * stats.t.sf(1.25 / 0.25, 1))
    assert paired_t([1.0], [0.0]) is None
    assert welch([1.0], [0.0, 1.0]) is None
    assert paired_t([], []) is None


@given(pairs)
def test_a_paired_test_is_the_one_sample_test_of_the_differences(
    sample: list[tuple[float, float]],
) -> None:
    a, b = (np.array(x) for x in zip(*sample, strict=True))
    whole, differences = paired_t(a, b), paired_t(a - b, np.zeros(len(a)))
    assert whole is not None
    assert differences is not None
    if whole.p is not None and differences.p is not None:
        assert whole.p == pytest.approx(differences.p, abs=1e-9)


@given(pairs, st.integers(-3, 3))
def test_swapping_the_groups_flips_the_sign_and_a_shift_changes_nothing(
    sample: list[tuple[float, float]], shift: int
) -> None:
    a, b = (np.array(x) for x in zip(*sample, strict=True))
    for test in (paired_t, welch):
        result, swapped, shifted = test(a, b), test(b, a), test(a + shift, b + shift)
        assert result is not None
        assert swapped is not None
        assert shifted is not None
        assert result.p == swapped.p
        if result.statistic is not None:
            assert swapped.statistic == pytest.approx(-result.statistic)
            assert shifted.statistic == pytest.approx(result.statistic, rel=1e-6)


def test_rule_16_p_is_one_where_all_differences_are_zero() -> None:
    for result in (paired_t(A, A), welch([0.5] * 3, [0.5] * 4)):
        assert result is not None
        assert (result.statistic, result.df, result.p) == (None, None, 1.0)
        assert "zero" in result.note


@pytest.mark.parametrize("n", [6, 10])
def test_rule_16_a_constant_difference_has_the_p_of_the_exact_test(n: int) -> None:
    a = np.linspace(0.7, 0.9, n)
    pair = paired_t(a, a - 0.1)
    assert pair is not None
    assert pair.p == pytest.approx(2 / 2**n)
    group = welch([1.0] * n, [2.0] * n)
    assert group is not None
    assert group.p == pytest.approx(2 / math.comb(2 * n, n))


def test_rule_16_a_constant_difference_has_no_p_below_six_seeds() -> None:
    for result in (paired_t([0.9, 0.7, 0.4], [0.8, 0.6, 0.3]), welch([1.0] * 5, [2.0] * 9)):
        assert result is not None
        assert result.p is None
        assert "fewer than 6" in result.note


def test_the_exact_tests_by_enumeration() -> None:
    signs = list(itertools.product([-1, 1], repeat=6))
    assert one_sided_sign_p(6) == sum(sum(s) == 6 for s in signs) / len(signs)
    ranks = list(itertools.combinations(range(7), 3))
    assert one_sided_separation_p(3, 4) == sum(set(r) == {4, 5, 6} for r in ranks) / len(ranks)


def test_rule_13_no_rank_test_below_six() -> None:
    a, b = np.arange(5.0), np.arange(5.0) ** 2
    assert wilcoxon(a, b) is None
    assert mann_whitney(a, np.arange(9.0)) is None


def test_rule_13_wilcoxon_by_hand_with_ties_and_zeros() -> None:
    d = np.array([3, 1, 1, -1, 2, 2, 0, 0], dtype=float)
    ranks = stats.rankdata(np.abs(d))  # Pratt: zeros take part in the ranking
    positive = ranks[d > 0].sum()
    rest = ranks[d != 0]
    mean, variance = rest.sum() / 2, (rest**2).sum() / 4
    z = (abs(positive - mean) - 0.5) / math.sqrt(variance)
    assert wilcoxon(d, np.zeros(8)) == pytest.approx(2 * stats.norm.sf(z))


def test_rule_13_differences_that_tie_but_for_rounding_tie() -> None:
    a, b = np.array([9, 4, 2, 8, 6, 4, 9.0]), np.array([8, 3, 1, 6, 8, 1, 7.0])
    assert len(set(a / 10 - b / 10)) > len(set(a - b))
    assert wilcoxon(a / 10, b / 10) == wilcoxon(a, b)


def test_rule_13_mann_whitney_by_hand() -> None:
    a, b = np.array([1, 2, 3, 4, 5, 5.0]), np.array([3, 4, 6, 7, 8, 9, 9.0])
    u = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    n, m = len(a), len(b)
    _, counts = np.unique(np.concatenate([a, b]), return_counts=True)
    ties = sum(c**3 - c for c in counts) / ((n + m) * (n + m - 1))
    sigma = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    z = (abs(u - n * m / 2) - 0.5) / sigma
    assert mann_whitney(a, b) == pytest.approx(2 * stats.norm.sf(z))


def test_rank_tests_of_identical_values_and_of_missed_targets() -> None:
    same = [0.5] * 6
    assert wilcoxon(same, same) == 1.0
    assert mann_whitney(same, same) == 1.0
    missed, reached = [math.inf] * 6, [1.0, 2, 3, 4, 5, 6]
    p = mann_whitney(missed, reached)
    assert p is not None
    assert p < 0.01


def test_the_paired_test_is_wrong_in_five_percent_of_cases() -> None:
    rng = np.random.default_rng(0)
    shared = math.sqrt(0.3) * rng.normal(size=(1500, 1, 6))
    draws = shared + math.sqrt(0.7) * rng.normal(size=(1500, 2, 6))  # correlation 0.3
    results = [(paired_t(a, b), welch(a, b)) for a, b in draws]
    paired_wrong = np.mean([t is not None and t.p is not None and t.p <= 0.05 for t, _ in results])
    welch_wrong = np.mean([w is not None and w.p is not None and w.p <= 0.05 for _, w in results])
    assert paired_wrong == pytest.approx(0.05, abs=0.018)
    assert welch_wrong < 0.04  # conservative, as it does not see the correlation


def test_student_has_one_variance_and_as_many_degrees_of_freedom_as_values_less_two() -> None:
    pooled = (np.var(A, ddof=1) + np.var(B, ddof=1)) / 2
    t = (np.mean(A) - np.mean(B)) / math.sqrt(pooled * 2 / 5)
    result = student(A, B)
    assert result is not None
    assert (result.statistic, result.df) == pytest.approx((t, 8))
    assert student([0.9], B) is None
    assert student([0.9] * 3, [0.9] * 3) == welch([0.9] * 3, [0.9] * 3)


def slow_log_rank(values: list[float], reference: list[float]) -> float:
    """Observed less expected hits of one group, over the times at which somebody hits."""
    difference = variance = 0.0
    for time in sorted({x for x in values + reference if math.isfinite(x)}):
        watched, beside = sum(x >= time for x in values), sum(x >= time for x in reference)
        hits, everybody = (values + reference).count(time), watched + beside
        difference += values.count(time) - hits * watched / everybody
        if everybody > 1:
            share = watched / everybody
            variance += hits * share * (1 - share) * (everybody - hits) / (everybody - 1)
    return float(2 * stats.norm.sf(abs(difference) / math.sqrt(variance)))


def test_rule_12_the_log_rank_test_takes_misses_as_longer_than_the_run() -> None:
    fast = [11.0, 11.0, 22.0, 22.0, 33.0, 22.0, math.inf]
    slow = [22.0, 33.0, math.inf, 33.0, math.inf, math.inf]
    assert log_rank(fast, slow, 44) == pytest.approx(slow_log_rank(fast, slow))
    assert log_rank(fast, slow[:5], 44) is None
    assert log_rank([22.0] * 6, [22.0] * 6, 44) == 1.0
    assert log_rank([math.inf] * 6, [math.inf] * 6, 44) is None


def test_shapiro_wilk_is_scipys_from_three_varying_values_on() -> None:
    assert shapiro_wilk(A) == pytest.approx(stats.shapiro(A).pvalue)
    assert shapiro_wilk(A[:2]) is None
    assert shapiro_wilk([0.9] * 5) is None


def rejected(result: TTest | None) -> bool:
    return result is not None and result.p is not None and result.p <= 0.05


def test_welch_is_wrong_in_five_percent_of_cases_with_unlike_sizes_and_variances() -> None:
    rng, suites = np.random.default_rng(0), 1500
    wrong = sum(rejected(welch(rng.normal(size=10), rng.normal(0, 3, 6))) for _ in range(suites))
    assert 0.03 < wrong / suites < 0.07
