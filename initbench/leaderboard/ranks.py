"""Rank intervals on one model and data set: the ranks that the data leave open.

A bare rank claims more than the data say: neighbours on a leaderboard can rarely be told apart. So
each initialiser gets the best and the worst rank it may have, from what is known of each pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from initbench.results import Row, Verdict
from initbench.statistics.ranks import RankInterval
from initbench.statistics.ranks import rank_intervals as from_pairs


def rank_intervals(
    rows: Sequence[Row], verdicts: Mapping[tuple[str, str], Verdict]
) -> dict[str, RankInterval]:
    """Return the rank interval of every initialiser whose mean is defined.

    One initialiser is ahead of another if the intervals of their means do not overlap. Where the
    suite compared the two, the corrected verdict decides instead, so that ranks never contradict
    verdicts.

    Args:
        rows: the rows of one measure on one model and data set.
        verdicts: those of comparisons, by initialiser and the one it was compared with.
    """
    ranked = [row for row in rows if row.mean is not None and math.isfinite(row.mean)]

    def ahead(a: Row, b: Row) -> bool:
        names = a.initialiser, b.initialiser
        if names in verdicts:
            return verdicts[names] == "better"
        if names[::-1] in verdicts:
            return verdicts[names[::-1]] == "worse"
        return _separated(a, b)

    pairs = np.array([[ahead(a, b) for b in ranked] for a in ranked], dtype=np.bool_)
    names = [row.initialiser for row in ranked]
    return dict(zip(names, from_pairs(pairs), strict=True))


def _separated(a: Row, b: Row) -> bool:
    """Whether the interval of `a` lies wholly on the better side of that of `b`."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low > b.high if a.direction == "higher" else a.high < b.low
