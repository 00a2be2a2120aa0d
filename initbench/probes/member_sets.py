"""Member sets: which members form an ensemble, the same for all initialisers and images."""

from __future__ import annotations

import math
from collections.abc import Iterator

from initbench.streams import Stream, generator

MemberSet = tuple[int, ...]
"""Positions in the order of seeds, rising; with replacement one may occur twice."""


def member_sets(members: int, size: int, count: int, *, replacement: bool) -> list[MemberSet]:
    """Return the members of each ensemble.

    The draw depends on nothing but the arguments, and fewer sets are the first of more. Without
    replacement all sets are different, and where there are no more than `count`, each occurs once.

    Args:
        members: how many there are.
        size: of an ensemble; there are no ensembles where there are fewer members.
        count: how many ensembles, at most.
        replacement: whether an ensemble may have a member twice.
    """
    if members < size:
        return []
    drawn = _drawn(members, size, replacement)
    if replacement:
        return [next(drawn) for _ in range(count)]
    sets: dict[MemberSet, None] = {}
    while len(sets) < min(count, math.comb(members, size)):
        sets[next(drawn)] = None
    return list(sets)


def _drawn(members: int, size: int, replacement: bool) -> Iterator[MemberSet]:
    """Yield sets without end."""
    import torch

    draws = generator(0, Stream.ENSEMBLES)
    while True:
        if replacement:
            chosen = torch.randint(members, (size,), generator=draws)
        else:
            chosen = torch.randperm(members, generator=draws)[:size]
        yield tuple(sorted(chosen.tolist()))
