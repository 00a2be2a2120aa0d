"""Figures: what a benchmark measured, on either side."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One side of one measurement: the same work, timed several times."""

    what: str
    """The task: `CIFAR-10, batches of 128, crop and flip`."""
    side: str
    """Who did it: `initbench`, `torchvision, 2 workers`."""
    seconds: tuple[float, ...]
    """Wall time of each repetition; sides alternate."""
    amount: float
    """How much work a repetition is, in `unit`."""
    unit: str
    """`images`, `networks x images`."""
    note: str = ""

    @property
    def rate(self) -> float:
        """Units a second, from the median of the repetitions."""
        return self.amount / median(self.seconds)
