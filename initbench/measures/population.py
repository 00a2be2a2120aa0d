"""The value of a cell from values of sets of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from initbench.measures.measure import PopulationValue
from initbench.statistics.jackknife import member_pseudo_values


def population_value(
    values: Sequence[float],
    sets: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    shown: int | None = None,
) -> PopulationValue:
    """Return the mean over the sets that are shown, with pseudo-values from all.

    Args:
        values: one for each set; finite.
        sets: positions in `seeds`.
        seeds: of the trials.
        shown: how many of the sets are shown, from the first; None: all.
    """
    parts = list(values[:shown])
    value = fmean(parts)
    in_all = set(range(len(seeds))).intersection(*sets)
    if in_all:  # nothing can be said of what a trial contributes that is never left out
        return PopulationValue(value, {}, parts)
    pseudo = member_pseudo_values(values, sets, len(seeds))
    shift = value - fmean(pseudo)
    return PopulationValue(
        value, {seed: x + shift for seed, x in zip(seeds, pseudo, strict=True)}, parts
    )
