"""Pseudo-values of trials for a value that belongs to sets of them: ensembles, pairs.

Ensembles drawn from one population share members, and each trial is in many pairs; so neither 20
ensembles nor 300 pairs are independent, and a test that takes them for such finds differences where
there are none. Trials are independent. Tukey's jackknife gives each its share in the mean over all
sets: its pseudo-value

    ψ_i = n θ - (n - 1) θ_(-i),

with θ the mean over all sets and θ_(-i) that over the sets without trial i (Tukey 1958, Ann. Math.
Stat. 29, 614; for U-statistics Arvesen 1969, Ann. Math. Stat. 40). Tests and intervals over seeds
take pseudo-values as they take accuracies.

Deviation: of M sets, c_i hold trial i, so that (M - c_i)(θ - θ_(-i)) is the sum over these of what
their values are above θ. Here M - c_i is replaced by its mean over trials, so that the mean of ψ_i
is θ. Where all c_i are equal, as with all pairs, that changes nothing; otherwise Tukey's ψ_i have
another mean than the value that is printed.

With few sets a test is cautious: for 25 trials, 20 random sets of 5 make the standard error about
1.3 times too large, 100 about 1.06 times, 200 or all 300 pairs at most 1.02 times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from initbench.statistics.sample import array


def member_pseudo_values(
    values: Sequence[float], sets: Sequence[Sequence[int]], members: int
) -> list[float]:
    """Return the pseudo-value of each member; their mean is the mean of `values` (rule 301).

    A member in no set has the mean: leaving it out would change nothing.

    Args:
        values: one for each set; finite.
        sets: which members each set has, as numbers below `members`; one that was drawn twice into
            a set is in it once.
        members: how many there are.

    Raises:
        ValueError: a member is in all sets, so that no value is known without it.
    """
    x = array(values)
    contains = np.zeros((len(sets), members))
    for row, chosen in zip(contains, sets, strict=True):
        row[list(chosen)] = 1
    if len(x) != len(contains):
        raise ValueError(f"expected one value for each of {len(contains)} sets, got {len(x)}")
    counts = contains.sum(axis=0)
    if len(x) == 0 or (counts == len(x)).any():
        raise ValueError("every member must be left out of some set; nothing can be said otherwise")
    shares = contains.T @ (x - x.mean())
    pseudo = (members - 1) / (len(x) - counts.mean()) * (shares - shares.mean())
    return [float(value) for value in x.mean() + pseudo]
