"""Prediction intervals: where the published value of another laboratory should lie.

An interval of a mean says where the true mean is. A published value has an error of its own, so it
may lie outside of that interval and still agree. The rules are 102 and 103 of `docs/statistics.md`.

Source: Hahn & Meeker (1991), *Statistical Intervals*, section 4.7 (the mean of a future sample).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from initbench.statistics.interval import SMALLEST_BOOTSTRAP, Interval
from initbench.statistics.sample import Values, array, is_constant

Item = TypeVar("Item")

_RESAMPLES = 999
_BOOTSTRAP_SEED = 0  # results are a function of the records alone


def prediction_interval(
    values: Values, runs: int | None, confidence: float = 0.95
) -> Interval | None:
    """Return where the mean of `runs` further runs lies, if they are like ours.

    With the mean m and deviation s of our n values: m ± t s √(1/n + 1/k), where t is the quantile
    of Student's distribution with n - 1 degrees of freedom and k the number of published runs; 1,
    the widest, where it is not stated. None for one value or without variance.

    >>> prediction_interval([1.0, 2.0, 3.0], runs=1)
    Interval(low=-2.968..., high=6.968...)
    """
    from scipy import stats

    x = array(values)
    if len(x) < 2 or is_constant(x):
        return None
    error = float(x.std(ddof=1)) * math.sqrt(1 / len(x) + 1 / (runs or 1))
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1)) * error
    return Interval(float(x.mean()) - half, float(x.mean()) + half)


def bootstrap_prediction(
    items: Sequence[Item],
    statistic: Callable[[Sequence[Item]], float],
    runs: int | None,
    confidence: float = 0.95,
) -> Interval | None:
    """Return where a statistic of `runs` further items lies that is no mean of theirs.

    Ours are drawn with replacement, which stands for our own chance, and from what was drawn
    `runs` again, which stands for that of the others. The ends are quantiles of what comes out
    and may be infinite. None below 20 items (rule 8).

    Args:
        items: what the statistic is made of: the records of our trials.
        statistic: of some of them; infinite where a target is missed.
        runs: of the published value; 1 where it is not stated.
        confidence: of the interval.
    """
    if len(items) < SMALLEST_BOOTSTRAP:
        return None
    chance = np.random.default_rng(_BOOTSTRAP_SEED)
    found = []
    for _ in range(_RESAMPLES):
        ours = chance.integers(len(items), size=len(items))
        theirs = ours[chance.integers(len(items), size=runs or 1)]
        found.append(statistic([items[i] for i in theirs]))
    tail = (1 - confidence) / 2
    # Between two infinite values there is nothing to interpolate.
    low, high = np.quantile(found, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))
