"""Aggregates over blocks: what a suite says of an initialiser on all its models and data sets.

A block is one model and data set. Differences to the reference are divided by the block's
yardstick, so that blocks can be averaged (rule 304). The mean over blocks has a t interval. All
else has that of a bootstrap that keeps pairs: within each block, seeds are drawn anew for all
initialisers at once. Blocks are fixed, so an interval is about these blocks, not about others.

Source: interquartile mean, probability of improvement and the stratified bootstrap as in Agarwal et
al. (2021), Deep RL at the edge of the statistical precipice, NeurIPS 34.

Deviations: theirs draws seeds for each method on its own, which breaks pairs. It also draws n of n,
which makes the variance of a mean too small by (n - 1)/n; here n - 1 are drawn (Rao and Wu 1988,
JASA 83), which makes it right in blocks of any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initbench.statistics.interval import Interval
from initbench.statistics.sample import Array, is_constant
from initbench.statistics.tests import SMALLEST_RANK_TEST, one_sided_sign_p

RESAMPLES = 4999
SMALLEST_BLOCK = 3
FEWEST_FREE = 20
"""The least sum of n - 1 over blocks for a bootstrap (rule 305)."""

_SEED = 0  # results are a function of the records alone

Draws = Sequence[NDArray[np.intp]]
"""For each block, the seeds drawn: (resamples, n - 1) positions. None at all: no bootstrap."""


def draws(sizes: Sequence[int], resamples: int = RESAMPLES) -> Draws:
    """Draw n - 1 of the n seeds of each block, with replacement; nothing if there are too few.

    >>> [chosen.shape for chosen in draws([12, 11])], draws([5, 5])
    ([(4999, 11), (4999, 10)], [])
    """
    if not sizes or min(sizes) < SMALLEST_BLOCK or sum(sizes) - len(sizes) < FEWEST_FREE:
        return []
    rng = np.random.default_rng(_SEED)
    return [rng.integers(n, size=(resamples, n - 1)) for n in sizes]


def yardstick(block: Array) -> float | None:
    """Return the median over initialisers of the deviation of their values; None where it is 0.

    A failed trial, scored at chance, moves the deviation of one initialiser only, so it does not
    make the differences of all others look small.

    Args:
        block: (initialisers, seeds).
    """
    if block.shape[1] < 2:
        return None
    deviations = [0.0 if is_constant(x) else float(x.std(ddof=1)) for x in block]
    return float(np.median(deviations)) or None


@dataclass(frozen=True)
class BlockMean:
    """The mean over blocks, all of one weight, of the mean of each, with its t-test."""

    value: float
    error: float
    df: float
    pairs: int

    @classmethod
    def of(cls, differences: Sequence[Array]) -> BlockMean | None:
        """Return that of the differences of pairs, block by block; None below two in any.

        The error is that of a stratified mean, its freedom that of Welch and Satterthwaite.
        """
        if not differences or min(len(block) for block in differences) < 2:
            return None
        count = len(differences)
        parts = [_variance(block) / len(block) / count**2 for block in differences]
        free = sum(v**2 / (len(b) - 1) for v, b in zip(parts, differences, strict=True))
        return cls(
            value=float(np.mean([block.mean() for block in differences])),
            error=math.sqrt(sum(parts)),
            df=sum(parts) ** 2 / free if free else 0.0,
            pairs=sum(len(block) for block in differences),
        )

    def interval(self, confidence: float) -> Interval | None:
        """Return the t interval; None without variance."""
        from scipy import stats

        if not self.error:
            return None
        half = float(stats.t.isf((1 - confidence) / 2, self.df)) * self.error
        return Interval(self.value - half, self.value + half)

    def p(self) -> float | None:
        """Return the two-sided p of "it is zero"; without variance as in rule 16."""
        from scipy import stats

        if self.error:
            return 2 * float(stats.t.sf(abs(self.value) / self.error, self.df))
        if not self.value:
            return 1.0
        return 2 * one_sided_sign_p(self.pairs) if self.pairs >= SMALLEST_RANK_TEST else None


@dataclass(frozen=True)
class Aggregate:
    """An estimate over blocks, with its bootstrap interval where there is one."""

    value: float
    interval: Interval | None


def mean(differences: Sequence[Array], drawn: Draws, confidence: float) -> Aggregate:
    """Return the mean over blocks, all of one weight, of the mean difference.

    Args:
        differences: for each block those of its pairs, in yardsticks.
        drawn: the seeds of each resample.
        confidence: of the interval.
    """
    return _estimate(_mean_of_blocks, differences, drawn, confidence)


def interquartile_mean(differences: Sequence[Array], drawn: Draws, confidence: float) -> Aggregate:
    """Return the mean of the middle half of all pairs of all blocks; arguments as for `mean`."""
    return _estimate(_middle_half, differences, drawn, confidence)


def improvement(wins: Sequence[Array], drawn: Draws, confidence: float) -> Aggregate:
    """Return the mean over blocks of the share of pairs that are won.

    Args:
        wins: for each block, 1 for each pair that is won, 0.5 for a tie, 0 for a loss.
        drawn: the seeds of each resample.
        confidence: of the interval.
    """
    return _estimate(_mean_of_blocks, wins, drawn, confidence)


def _estimate(
    statistic: Callable[[Sequence[Array]], Array],
    blocks: Sequence[Array],
    drawn: Draws,
    confidence: float,
) -> Aggregate:
    value = float(statistic([block[None] for block in blocks])[0])
    if not drawn:
        return Aggregate(value, None)
    resampled = statistic([block[chosen] for block, chosen in zip(blocks, drawn, strict=True)])
    if is_constant(resampled):
        return Aggregate(value, None)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Aggregate(value, Interval(float(low), float(high)))


def _mean_of_blocks(blocks: Sequence[Array]) -> Array:
    """Return the mean over blocks of (resamples, pairs) for each resample."""
    result: Array = np.mean([block.mean(axis=1) for block in blocks], axis=0)
    return result


def _middle_half(blocks: Sequence[Array]) -> Array:
    from scipy import stats

    pooled = np.concatenate(blocks, axis=1)
    return np.asarray(stats.trim_mean(pooled, 0.25, axis=1))


def _variance(block: Array) -> float:
    return 0.0 if is_constant(block) else float(block.var(ddof=1))
