"""Series: several ways of doing the same work, timed in turns and compared pair by pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from initbench.bench.figure import Figure


@dataclass(frozen=True)
class Speedup:
    """How many times faster one side is than another, from repetitions made side by side."""

    what: str
    side: str
    against: str
    median: float
    """Of all pairs of repetitions."""
    lowest: float
    highest: float


def alternate(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the wall seconds of `repeats` repetitions of each side.

    Each side runs once before the clock. Then the sides take turns in one process, so that
    whatever else the machine does meets them alike.
    """
    for work in sides.values():
        work()
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, work in sides.items():
            start = time.perf_counter()
            work()
            seconds[side].append(time.perf_counter() - start)
    return seconds


def speedups(figures: Iterable[Figure]) -> list[Speedup]:
    """Return how many times faster the first side of each task is than each of the others."""
    found = []
    for _, task in groupby(figures, key=lambda figure: figure.what):
        ours, *others = task
        found += [_speedup(ours, other) for other in others]
    return found


def speedups_over_first(figures: Iterable[Figure]) -> list[Speedup]:
    """Return how many times faster each side of each task is than the first one."""
    found = []
    for _, task in groupby(figures, key=lambda figure: figure.what):
        first, *others = task
        found += [_speedup(other, first) for other in others]
    return found


def _speedup(ours: Figure, other: Figure) -> Speedup:
    """Compare two sides of an alternating series, pair by pair."""
    ratios = [
        (ours.amount / ours_took) / (other.amount / other_took)
        for ours_took, other_took in zip(ours.seconds, other.seconds, strict=True)
    ]
    return Speedup(ours.what, ours.side, other.side, median(ratios), min(ratios), max(ratios))
