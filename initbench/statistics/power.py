"""Power: how many seeds would decide a comparison, and what a number of seeds can show."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from initbench.statistics.sample import Values, array, is_constant

POWER = 0.8
MOST_SEEDS = 100_000
"""No search goes beyond; a comparison that needs more is reported without a number."""

_LARGEST_EFFECT = 1e6  # in deviations: beyond, power is 1 and the non-central t overflows


@dataclass(frozen=True)
class Spread:
    """What the precision of a comparison of n seeds depends on.

    The standard error of the difference is `sd / √n`, with `freedom · (n - 1)` degrees of freedom.
    """

    sd: float
    freedom: float = 1.0

    @classmethod
    def of_pairs(cls, values: Values, reference: Values) -> Spread | None:
        """Estimate it from pairs; None below two of them or without variance."""
        a, b = array(values), array(reference)
        if len(a) < 2 or is_constant(a - b, a, b):
            return None
        return cls(float((a - b).std(ddof=1)))

    @classmethod
    def of_groups(cls, values: Values, reference: Values) -> Spread | None:
        """Estimate it from independent groups, for groups of equal size; Welch's freedom."""
        a, b = array(values), array(reference)
        if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):
            return None
        v, w = float(a.var(ddof=1)), float(b.var(ddof=1))
        return cls(math.sqrt(v + w), (v + w) ** 2 / (v**2 + w**2))

    @classmethod
    def of_pooled_groups(cls, values: Values, reference: Values) -> Spread | None:
        """Estimate it from independent groups with one variance, for groups of equal size."""
        a, b = array(values), array(reference)
        if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):
            return None
        squares = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
        return cls(math.sqrt(2 * squares / (len(a) + len(b) - 2)), 2.0)


def power_of_difference(spread: Spread, difference: float, n: int, level: float) -> float:
    """Return the probability that n seeds find a true `difference`, in its direction.

    `level` is that of a two-sided test. Significance in the wrong direction does not count.
    """
    return _one_sided_power(spread, abs(difference), n, level / 2)


def power_of_equivalence(
    spread: Spread, difference: float, n: int, margin: float, level: float
) -> float:
    """Return the probability that n seeds show a true `difference` to be within the margin.

    This is the lower bound 1 - β₁ - β₂ from the two one-sided tests, close wherever it is above
    one half.
    """
    upper = _one_sided_power(spread, margin - difference, n, level)
    lower = _one_sided_power(spread, margin + difference, n, level)
    return max(0.0, upper + lower - 1)


def seeds_for_difference(spread: Spread, difference: float, level: float) -> int | None:
    """Return the fewest seeds that find a true `difference` with 80 % power (rule 24)."""
    if difference == 0:
        return None
    return _fewest(lambda n: power_of_difference(spread, difference, n, level))


def seeds_for_equivalence(
    spread: Spread, difference: float, margin: float, level: float
) -> int | None:
    """Return the fewest seeds that show equivalence with 80 % power (rule 24)."""
    if abs(difference) >= margin:
        return None
    return _fewest(lambda n: power_of_equivalence(spread, difference, n, margin, level))


def minimal_detectable_difference(
    spread: Spread, n: int, level: float = 0.05, power: float = POWER
) -> float | None:
    """Return the smallest true difference that n seeds find with this power (rule 26).

    `level` is that of the two-sided test. None below two seeds.
    """
    from scipy.optimize import brentq

    if n < 2:
        return None

    unit = Spread(1.0, spread.freedom)

    # Solved here, not by TTestPower.solve_power, which gives up silently at two or three pairs.
    def shortfall(effect: float) -> float:
        return power - power_of_difference(unit, effect, n, level)

    above = 1.0
    while shortfall(above) > 0:
        above *= 2
    return float(brentq(shortfall, 0.0, above, xtol=1e-9)) * spread.sd


def _one_sided_power(spread: Spread, distance: float, n: int, level: float) -> float:
    from statsmodels.stats.power import TTestPower

    effect = min(distance / spread.sd, _LARGEST_EFFECT)
    freedom = spread.freedom * (n - 1)
    return float(TTestPower().power(effect, n, level, df=freedom, alternative="larger"))


def _fewest(power: Callable[[int], float]) -> int | None:
    """Return the smallest n from 2 on with enough power, found by doubling, then bisection."""
    low = high = 2
    while power(high) < POWER:
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    return low + bisect_left(range(low, high + 1), POWER, key=power)
