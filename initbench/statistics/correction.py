"""Correction of p values for the number of comparisons in a family (rule 17).

Sources: Holm 1979, "A simple sequentially rejective multiple test procedure"; Bonferroni. Written
here because the function of statsmodels collects garbage in each call, which takes most of the time
of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Correction = Literal["holm", "bonferroni", "none"]


def correct(ps: Sequence[float | None], method: Correction) -> list[float | None]:
    """Return the corrected p values in the same order.

    None stands for a p that is not defined: it stays None and does not count in the family.
    """
    family = [(p, place) for place, p in enumerate(ps) if p is not None]
    if method == "none":
        return list(ps)
    corrected = list(ps)
    highest = 0.0
    for rank, (p, place) in enumerate(sorted(family)):
        factor = len(family) - rank if method == "holm" else len(family)
        # Holm steps down: none is smaller than one that came before in the order of raw values.
        highest = max(highest, min(1.0, factor * p))
        corrected[place] = highest
    return corrected


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
