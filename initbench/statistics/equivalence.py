"""Equivalence: two one-sided tests that a difference lies within a margin (rules 19 and 20).

Source: Schuirmann (1987), J. Pharmacokinet. Biopharm. 15; paired, Student's and Welch's forms as in
Lakens (2017), Soc. Psychol. Personal. Sci. 8.
"""

from __future__ import annotations

import math
from typing import Literal

from initbench.statistics.sample import Array, Values, array, is_constant
from initbench.statistics.tests import (
    SMALLEST_RANK_TEST,
    one_sided_separation_p,
    one_sided_sign_p,
)


def tost_paired(values: Values, reference: Values, margin: float) -> float | None:
    """Return the p of "the mean difference is at least `margin` away from zero", for pairs."""
    from statsmodels.stats.weightstats import ttost_paired

    _check_margin(margin)
    a, b = array(values), array(reference)
    if len(a) < 2:
        return None
    if is_constant(a - b, a, b):
        return _without_variance(a, b, margin, one_sided_sign_p(len(a)))
    return float(ttost_paired(a, b, -margin, margin)[0])


def tost_welch(values: Values, reference: Values, margin: float) -> float | None:
    """Return the p of "the means are at least `margin` apart", variances free."""
    return _tost_independent(array(values), array(reference), margin, "unequal")


def tost_student(values: Values, reference: Values, margin: float) -> float | None:
    """Return the p of "the means are at least `margin` apart", with one variance for both."""
    return _tost_independent(array(values), array(reference), margin, "pooled")


def _tost_independent(
    a: Array, b: Array, margin: float, variances: Literal["unequal", "pooled"]
) -> float | None:
    from statsmodels.stats.weightstats import ttost_ind

    _check_margin(margin)
    if min(len(a), len(b)) < 2:
        return None
    if is_constant(a) and is_constant(b):
        return _without_variance(a, b, margin, one_sided_separation_p(len(a), len(b)))
    return float(ttost_ind(a, b, -margin, margin, usevar=variances)[0])


def _check_margin(margin: float) -> None:
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"a margin is a finite number above 0, got {margin!r}")


def _without_variance(a: Array, b: Array, margin: float, one_sided_p: float) -> float | None:
    if abs(a.mean() - b.mean()) >= margin:
        return 1.0
    return one_sided_p if min(len(a), len(b)) >= SMALLEST_RANK_TEST else None
