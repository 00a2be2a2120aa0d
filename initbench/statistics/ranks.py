"""Ranks over blocks: which ranks the data leave open, and critical differences of mean ranks.

A bare rank claims more than the data say. So each initialiser gets the best and the worst rank
that it may have: below every other that is ahead of it, above every other that it is ahead of. With
"ahead" from tests that are corrected for all pairs, all rank intervals hold at once (Mogstad,
Romano, Shaikh and Wilhelm 2024, Rev. Econ. Stud. 91).

Mean ranks, the test of Friedman and the critical difference of Nemenyi take blocks for the sample,
as in Demšar (2006), JMLR 7, so they need many (rule 309).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initbench.statistics.aggregate import BlockMean
from initbench.statistics.correction import correct
from initbench.statistics.sample import Array

FEWEST_BLOCKS = 10


@dataclass(frozen=True)
class RankInterval:
    """The best and the worst rank that an initialiser may have."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


@dataclass(frozen=True)
class CriticalDifference:
    """Mean ranks that differ by at least `difference` differ at the level of the test."""

    friedman_p: float
    difference: float


def rank_intervals(ahead: NDArray[np.bool_]) -> list[RankInterval]:
    """Return the rank interval of each item; `ahead[i, j]` says that i is ahead of j."""
    return [
        RankInterval(best=1 + int(ahead[:, i].sum()), worst=len(ahead) - int(ahead[i].sum()))
        for i in range(len(ahead))
    ]


def ahead_over_blocks(blocks: Sequence[Array], confidence: float) -> NDArray[np.bool_]:
    """Return which initialisers are ahead of which in their mean over blocks (rule 308).

    One is ahead if the t-test of the mean over blocks of their pairs finds it, corrected by Holm
    for all pairs of initialisers.

    Args:
        blocks: (initialisers, seeds) each, in yardsticks; the higher the better.
        confidence: that all statements hold together.
    """
    count = len(blocks[0])
    pairs = [(i, j) for i in range(count) for j in range(i)]
    means = [BlockMean.of([block[i] - block[j] for block in blocks]) for i, j in pairs]
    ps = correct([found.p() if found else None for found in means], "holm")
    ahead = np.zeros((count, count), dtype=np.bool_)
    for (i, j), found, p in zip(pairs, means, ps, strict=True):
        if found is not None and p is not None and p <= 1 - confidence:
            ahead[(i, j) if found.value > 0 else (j, i)] = True
    return ahead


def mean_ranks(means: Array, *, higher_is_better: bool = True) -> Array:
    """Return the mean over blocks of ranks within each, 1 the best, ties sharing theirs.

    Args:
        means: (blocks, initialisers).
        higher_is_better: the direction.
    """
    from scipy import stats

    ranks: Array = stats.rankdata(-means if higher_is_better else means, axis=1).mean(axis=0)
    return ranks


def critical_difference(means: Array, confidence: float) -> CriticalDifference | None:
    """Return Friedman's p and Nemenyi's critical difference of mean ranks.

    CD = q √(k (k + 1) / (6 N)) for k initialisers on N blocks, with q the quantile of the
    studentised range for k groups and infinite freedom, over √2 (Demšar 2006).

    Args:
        means: (blocks, initialisers).
        confidence: one minus the level of the test.

    Returns:
        None below 10 blocks or 3 initialisers, or where all are equal in all blocks.
    """
    from scipy import stats

    blocks, k = means.shape
    if blocks < FEWEST_BLOCKS or k < 3 or (np.ptp(means, axis=1) == 0).all():
        return None
    q = float(stats.studentized_range.ppf(confidence, k, np.inf)) / math.sqrt(2)
    return CriticalDifference(
        friedman_p=float(stats.friedmanchisquare(*means.T).pvalue),
        difference=q * math.sqrt(k * (k + 1) / (6 * blocks)),
    )
