"""Rank intervals: the ranks that the data leave open.

A bare rank claims more than the data say: neighbours on a leaderboard can rarely be told apart. So
each initialiser gets the best and the worst rank it may have, from what is known of each pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from initbench.results import Row, Verdict


@dataclass(frozen=True)
class RankInterval:
    """The best and the worst rank that an initialiser may have."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def rank_intervals(
    rows: Sequence[Row], reference: str, verdicts: Mapping[str, Verdict]
) -> dict[str, RankInterval]:
    """Return the rank interval of every initialiser whose mean is defined.

    One initialiser is ahead of another if the intervals of their means do not overlap. Where one of
    the two is the reference and the suite tested the pair, the corrected verdict decides instead,
    so that ranks never contradict verdicts.

    Args:
        rows: the rows of one measure on one model and data set.
        reference: the initialiser that the others were compared with.
        verdicts: by initialiser, the verdict of its comparison with the reference.
    """
    ranked = [row for row in rows if row.mean is not None and math.isfinite(row.mean)]

    def ahead(a: Row, b: Row) -> bool:
        if b.initialiser == reference and a.initialiser in verdicts:
            return verdicts[a.initialiser] == "better"
        if a.initialiser == reference and b.initialiser in verdicts:
            return verdicts[b.initialiser] == "worse"
        return _separated(a, b)

    return {
        row.initialiser: RankInterval(
            best=1 + sum(ahead(other, row) for other in ranked),
            worst=len(ranked) - sum(ahead(row, other) for other in ranked),
        )
        for row in ranked
    }


def _separated(a: Row, b: Row) -> bool:
    """Whether the interval of `a` lies wholly on the better side of that of `b`."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low > b.high if a.direction == "higher" else a.high < b.low
