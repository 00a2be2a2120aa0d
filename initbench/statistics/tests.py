"""Two-sided tests of a difference between two groups of values."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from initbench.statistics.sample import (
    Array,
    Values,
    array,
    is_constant,
    is_zero,
    rounded_differences,
)

SMALLEST_RANK_TEST = 6
"""Below, no rank or sign test can reach p = 0.05 in pairs, so none is made (rule 13)."""


@dataclass(frozen=True)
class TTest:
    """A t-test, or what stands in for it where there is no variance (rule 16)."""

    statistic: float | None
    df: float | None
    p: float | None
    note: str = ""


def paired_t(values: Values, reference: Values) -> TTest | None:
    """Test whether the mean of `values - reference` is zero, pair by pair; None below two pairs."""
    from scipy import stats

    a, b = array(values), array(reference)
    if len(a) < 2:
        return None
    differences = a - b
    if is_constant(differences, a, b):
        return _without_variance(is_zero(differences, a, b), len(a), one_sided_sign_p(len(a)))
    result = stats.ttest_rel(a, b)
    return TTest(float(result.statistic), float(result.df), float(result.pvalue))


def welch(values: Values, reference: Values) -> TTest | None:
    """Test whether two means are equal, variances free; None below two values a group."""
    a, b = array(values), array(reference)
    if min(len(a), len(b)) < 2:
        return None
    if is_constant(a) and is_constant(b):
        return _without_variance(
            is_zero(a[:1] - b[:1], a, b),
            min(len(a), len(b)),
            one_sided_separation_p(len(a), len(b)),
        )
    result = scipy_independent(a, b, equal_var=False)
    return TTest(float(result.statistic), float(result.df), float(result.pvalue))


def scipy_independent(a: Array, b: Array, *, equal_var: bool) -> Any:
    """Return scipy's Welch's or Student's test of groups that do not both lack variance."""
    from scipy import stats

    with warnings.catch_warnings():
        # scipy warns of a constant group; the variance of the other one carries the test.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        return stats.ttest_ind(a, b, equal_var=equal_var)


def student(values: Values, reference: Values) -> TTest | None:
    """Test whether two means are equal, with one variance for both groups (Student's t).

    None below two values a group. Only there because papers made it (rules 10 and 12): Welch's test
    is as good where variances are equal, and right where they are not.
    """
    a, b = array(values), array(reference)
    if min(len(a), len(b)) < 2:
        return None
    if is_constant(a) and is_constant(b):
        return welch(a, b)
    result = scipy_independent(a, b, equal_var=True)
    return TTest(float(result.statistic), float(result.df), float(result.pvalue))


def wilcoxon(values: Values, reference: Values) -> float | None:
    """Return the p of Wilcoxon's signed-rank test; None below six pairs.

    Zero differences are ranked and then left out (Pratt, 1959), and p is the normal approximation
    with corrections for ties and continuity: the exact distribution assumes no ties, which
    accuracies on a small test set always have.
    """
    from scipy import stats

    a, b = array(values), array(reference)
    if len(a) < SMALLEST_RANK_TEST:
        return None
    if np.array_equal(a, b):
        return 1.0
    result = stats.wilcoxon(
        rounded_differences(a, b), zero_method="pratt", correction=True, method="asymptotic"
    )
    return float(result.pvalue)


def mann_whitney(values: Values, reference: Values) -> float | None:
    """Return the p of the Mann-Whitney U test; None below six values a group.

    Infinite values are allowed: they rank last. p is the normal approximation with corrections
    for ties and continuity, for the reason given at `wilcoxon`.
    """
    from scipy import stats

    a, b = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if min(len(a), len(b)) < SMALLEST_RANK_TEST:
        return None
    if np.unique(np.concatenate([a, b])).size == 1:
        return 1.0
    result = stats.mannwhitneyu(a, b, method="asymptotic")
    return float(result.pvalue)


def log_rank(values: Values, reference: Values, limit: float) -> float | None:
    """Return the p of the log-rank test that two groups reach their target equally fast.

    The test for times of which some are known only to be longer (Mantel 1966; scipy's `logrank`).

    Args:
        values: steps until the target; infinite where it was missed.
        reference: the same for the reference.
        limit: the steps of a complete run, after which a miss was not watched any more.

    Returns:
        None below six values a group, where the normal approximation is poor, or without a hit.
    """
    from scipy import stats

    a, b = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if min(len(a), len(b)) < SMALLEST_RANK_TEST or np.isinf(np.concatenate([a, b])).all():
        return None
    if np.unique(np.concatenate([a, b])).size == 1:
        return 1.0
    watched = [
        stats.CensoredData(uncensored=x[np.isfinite(x)], right=np.full(np.isinf(x).sum(), limit))
        for x in (a, b)
    ]
    return float(stats.logrank(*watched).pvalue)


def shapiro_wilk(values: Values) -> float | None:
    """Return the p of the Shapiro-Wilk test of normality; None below three values.

    It is shown and chooses nothing: to pick a test by looking at the data makes its p wrong.
    """
    from scipy import stats

    x = array(values)
    if len(x) < 3 or is_constant(x):
        return None
    return float(stats.shapiro(x).pvalue)


def one_sided_sign_p(pairs: int) -> float:
    """Return the exact p of the sign test when all pairs have the same sign.

    >>> one_sided_sign_p(6)
    0.015625
    """
    return float(0.5**pairs)


def one_sided_separation_p(first: int, second: int) -> float:
    """Return the exact p of the permutation test when all of one group exceed all of the other.

    >>> one_sided_separation_p(3, 3)
    0.05
    """
    return 1 / math.comb(first + second, first)


def _without_variance(no_difference: bool, n: int, one_sided_p: float) -> TTest:
    """Answer where t is not defined (rule 16)."""
    if no_difference:
        return TTest(None, None, 1.0, "all differences are zero: p = 1")
    if n < SMALLEST_RANK_TEST:
        return TTest(
            None, None, None, f"no variance and fewer than {SMALLEST_RANK_TEST} seeds: no p"
        )
    return TTest(None, None, 2 * one_sided_p, "no variance: an exact sign test instead of t")
