"""Kinds of claims: each says which pairs of initialisers have to compare how (rule 105)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Literal

from initbench.published.table import Claim, Kind

Expected = Literal["above", "below", "equivalent", "better in every run"]


@dataclass(frozen=True)
class Statement:
    """That one initialiser compares so with another, or with the threshold (`second` is None)."""

    first: str
    second: str | None
    expected: Expected


def highest(claim: Claim) -> Iterator[Statement]:
    """Each of `initialisers` has a higher mean than each of `others`."""
    for first, second in product(claim.initialisers, claim.others):
        yield Statement(first, second, "above")


def lowest(claim: Claim) -> Iterator[Statement]:
    """Each of `initialisers` has a lower mean than each of `others`."""
    for first, second in product(claim.initialisers, claim.others):
        yield Statement(first, second, "below")


def equivalent(claim: Claim) -> Iterator[Statement]:
    """No mean of `initialisers` differs from one of `others` by the margin of the suite."""
    for first, second in product(claim.initialisers, claim.others):
        yield Statement(first, second, "equivalent")


def ordering(claim: Claim) -> Iterator[Statement]:
    """Each of `initialisers` has a higher mean than the next one."""
    for first, second in pairwise(claim.initialisers):
        yield Statement(first, second, "above")


def all_runs_beat(claim: Claim) -> Iterator[Statement]:
    """The worst run of each of `initialisers` is better than the best run of each of `others`."""
    for first, second in product(claim.initialisers, claim.others):
        yield Statement(first, second, "better in every run")


def threshold(claim: Claim) -> Iterator[Statement]:
    """The means of `initialisers` are on one side of a number, those of `others` on the other."""
    side: Expected = "below" if claim.side == "below" else "above"
    other: Expected = "above" if side == "below" else "below"
    yield from (Statement(name, None, side) for name in claim.initialisers)
    yield from (Statement(name, None, other) for name in claim.others)


KINDS: dict[Kind, Callable[[Claim], Iterator[Statement]]] = {
    "highest": highest,
    "lowest": lowest,
    "greater": highest,
    "equivalent": equivalent,
    "ordering": ordering,
    "all_runs_beat": all_runs_beat,
    "threshold": threshold,
}
