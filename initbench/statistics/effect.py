"""Effect sizes: how large a difference is, apart from how sure it is (rules 14 and 15)."""

from __future__ import annotations

import math

import numpy as np

from initbench.statistics.sample import Array, Values, array, is_constant


def cohens_d(values: Values, reference: Values) -> float | None:
    """Return the difference of the means over the root mean square of the two deviations.

    The same denominator serves both designs: for pairs this is Cumming's d_av (2012, ch. 11), for
    independent groups d*_s, which goes with Welch's test (Delacre et al. 2021). It does not move
    with the correlation within pairs, so paired and unpaired comparisons can be read side by side;
    d_z, which divides by the deviation of the differences, cannot (Lakens 2013).

    None where a deviation is not defined or both are zero.
    """
    a, b = array(values), array(reference)
    if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):
        return None
    return float((a.mean() - b.mean()) / math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))


def hedges_g(values: Values, reference: Values, *, paired: bool) -> float | None:
    """Return Cohen's d without its small-sample bias (Hedges 1981).

    d is multiplied by J(f) = Γ(f/2) / (√(f/2) Γ((f-1)/2)), about 1 - 3/(4f - 1). For n pairs
    f = n - 1 (Cumming 2012, ch. 11), which never corrects too little; for independent groups f is
    that of Delacre et al. (2021): n₁ + n₂ - 2 where sizes and variances agree. None where d is not
    defined or f is 1, where no correction exists.
    """
    d = cohens_d(values, reference)
    if d is None:
        return None
    a, b = array(values), array(reference)
    freedom = len(a) - 1.0 if paired else _degrees_of_freedom(a, b)
    return d * _bias_correction(freedom) if freedom > 1 else None


def probability_of_improvement(
    values: Values, reference: Values, *, paired: bool, higher_is_better: bool = True
) -> float | None:
    """Return the share of pairs in which `values` are better, ties counted half.

    Pairs are the given ones, or every value with every reference value. Infinite values are
    allowed. None without any pair.
    """
    a, b = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not (len(a) and len(b)):
        return None
    if not higher_is_better:
        a, b = b, a
    if not paired:
        a, b = a[:, None], b[None, :]  # (values, reference)
    return float(np.mean((a > b) + 0.5 * (a == b)))


def correlation(values: Values, reference: Values) -> float | None:
    """Return Pearson's correlation within pairs; None below three pairs or without variance."""
    a, b = array(values), array(reference)
    if len(a) < 3 or is_constant(a) or is_constant(b):
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _degrees_of_freedom(a: Array, b: Array) -> float:
    """Return those of d*_s: (n₁-1)(n₂-1)(s₁²+s₂²)² / ((n₂-1)s₁⁴ + (n₁-1)s₂⁴)."""
    f, g, v, w = len(a) - 1, len(b) - 1, a.var(ddof=1), b.var(ddof=1)
    return float(f * g * (v + w) ** 2 / (g * v**2 + f * w**2))


def _bias_correction(f: float) -> float:
    return math.exp(math.lgamma(f / 2) - math.lgamma((f - 1) / 2)) / math.sqrt(f / 2)
