"""Confidence intervals of a mean and of a difference of two means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from initbench.statistics.sample import Array, Values, array, is_constant
from initbench.statistics.tests import scipy_independent

SMALLEST_BOOTSTRAP = 20
"""Below, bootstrap intervals cover too little: a nominal 95 % interval of 5 values covers 84 %."""

_RESAMPLES = 9999
_BOOTSTRAP_SEED = 0  # results are a function of the records alone


class Interval(NamedTuple):
    """The two ends of a confidence interval."""

    low: float
    high: float


def mean_interval(values: Values, confidence: float = 0.95) -> Interval | None:
    """Return the t interval of a mean; None for one value or without variance (rule 7).

    >>> mean_interval([1.0, 2.0, 3.0])
    Interval(low=-0.484..., high=4.484...)
    """
    from scipy import stats

    x = array(values)
    if len(x) < 2 or is_constant(x):
        return None
    return _interval(stats.ttest_1samp(x, popmean=0).confidence_interval(confidence))


def paired_interval(values: Values, reference: Values, confidence: float = 0.95) -> Interval | None:
    """Return the t interval of the mean of `values - reference`, pair by pair."""
    from scipy import stats

    a, b = array(values), array(reference)
    if len(a) < 2 or is_constant(a - b, a, b):
        return None
    return _interval(stats.ttest_rel(a, b).confidence_interval(confidence))


def welch_interval(values: Values, reference: Values, confidence: float = 0.95) -> Interval | None:
    """Return Welch's t interval of the difference of two means."""
    return _independent_interval(array(values), array(reference), confidence, equal_var=False)


def student_interval(
    values: Values, reference: Values, confidence: float = 0.95
) -> Interval | None:
    """Return Student's t interval of the difference of two means, with one variance for both."""
    return _independent_interval(array(values), array(reference), confidence, equal_var=True)


def bca_paired(values: Values, reference: Values, confidence: float = 0.95) -> Interval | None:
    """Return the BCa bootstrap interval of the mean of `values - reference` (rule 8).

    Source: Efron (1987), Better bootstrap confidence intervals, JASA 82.
    """
    a, b = array(values), array(reference)
    if len(a) < SMALLEST_BOOTSTRAP or is_constant(a - b, a, b):
        return None
    return _bca((a - b,), np.mean, confidence)


def bca_independent(values: Values, reference: Values, confidence: float = 0.95) -> Interval | None:
    """Return the BCa bootstrap interval of the difference of two independent means (rule 8)."""
    a, b = array(values), array(reference)
    if min(len(a), len(b)) < SMALLEST_BOOTSTRAP or (is_constant(a) and is_constant(b)):
        return None
    return _bca((a, b), lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis), confidence)


def bca_mean(values: Values, confidence: float = 0.95) -> Interval | None:
    """Return the BCa bootstrap interval of a mean (rule 8)."""
    x = array(values)
    if len(x) < SMALLEST_BOOTSTRAP or is_constant(x):
        return None
    return _bca((x,), np.mean, confidence)


def median_interval(values: Values, confidence: float = 0.95) -> Interval | None:
    """Return the percentile bootstrap interval of a median (rule 8).

    The percentile method, as the acceleration that BCa needs is not defined for a median (Efron
    1987, section 7).
    """
    x = array(values)
    if len(x) < SMALLEST_BOOTSTRAP or is_constant(x):
        return None
    return _bootstrap((x,), np.median, confidence, "percentile")


def _independent_interval(
    a: Array, b: Array, confidence: float, *, equal_var: bool
) -> Interval | None:
    if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):
        return None
    result = scipy_independent(a, b, equal_var=equal_var)
    return _interval(result.confidence_interval(confidence))


def _bca(samples: tuple[Array, ...], statistic: Callable[..., Any], confidence: float) -> Interval:
    return _bootstrap(samples, statistic, confidence, "BCa")


def _bootstrap(
    samples: tuple[Array, ...], statistic: Callable[..., Any], confidence: float, method: str
) -> Interval:
    from scipy import stats

    result = stats.bootstrap(
        samples,
        statistic,
        n_resamples=_RESAMPLES,
        confidence_level=confidence,
        method=method,
        vectorized=True,
        rng=np.random.default_rng(_BOOTSTRAP_SEED),
    )
    return _interval(result.confidence_interval)


def _interval(scipy_interval: Any) -> Interval:
    return Interval(float(scipy_interval.low), float(scipy_interval.high))
