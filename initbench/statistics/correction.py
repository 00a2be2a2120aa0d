"""Correction of p values for the number of comparisons in a family (rule 17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Correction = Literal["holm", "bonferroni", "none"]


def correct(ps: Sequence[float | None], method: Correction) -> list[float | None]:
    """Return the corrected p values in the same order.

    None stands for a p that is not defined: it stays None and does not count in the family.
    """
    defined = [p for p in ps if p is not None]
    if method == "none" or not defined:
        return list(ps)
    from statsmodels.stats.multitest import multipletests

    corrected = iter(multipletests(defined, method=method)[1])
    return [None if p is None else float(next(corrected)) for p in ps]


def level_to_beat(corrected: Sequence[float | None], method: Correction, alpha: float) -> float:
    """Return the level that the raw p of a comparison still open must reach to be significant.

    Bonferroni divides alpha by the size of the family, Holm by the number of comparisons that
    are not significant yet, as the significant ones come before in its order.
    """
    family = [p for p in corrected if p is not None]
    if method == "none":
        return alpha
    if method == "holm":
        family = [p for p in family if p > alpha]
    return alpha / max(len(family), 1)
