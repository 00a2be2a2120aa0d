"""Aggregates: every initialiser on all models and data sets of a suite, through one measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from initbench.measures.measure import Measure, PopulationMeasure
from initbench.reporting.cells import Cell, capped, values_of
from initbench.results import Aggregate, Aggregates
from initbench.statistics.aggregate import (
    BlockMean,
    Draws,
    draws,
    improvement,
    interquartile_mean,
    mean,
    yardstick,
)
from initbench.statistics.interval import Interval
from initbench.statistics.profiles import profile, thresholds
from initbench.statistics.ranks import (
    FEWEST_BLOCKS,
    RankInterval,
    ahead_over_blocks,
    critical_difference,
    mean_ranks,
    rank_intervals,
)
from initbench.statistics.sample import Array
from initbench.store.manifest import SuiteManifest


def aggregates(
    manifest: SuiteManifest, cells: Sequence[Cell], measure: Measure[Any], label: str
) -> Aggregates | None:
    """Aggregate a measure over blocks; None below two blocks or two initialisers (rule 303)."""
    places = list(dict.fromkeys((cell.model, cell.dataset) for cell in cells))
    table = {(c.initialiser, c.model, c.dataset): c for c in cells if c.records}
    names = list(dict.fromkeys(cell.initialiser for cell in cells))
    everywhere = [n for n in names if all((n, *place) in table for place in places)]
    if len(places) < 2 or len(everywhere) < 2 or manifest.reference not in everywhere:
        return None
    blocks = [
        _block(measure, label, [table[name, *place] for name in everywhere]) for place in places
    ]
    found = _Blocks(measure, places, everywhere, manifest.reference, blocks, manifest.confidence)
    return found.aggregates(label, [name for name in names if name not in everywhere])


def _block(measure: Measure[Any], label: str, cells: Sequence[Cell]) -> Array:
    """Return (initialisers, seeds), over the seeds that all cells have; misses capped (rule 4)."""
    values = [capped(measure, cell, values_of(measure, label, cell)) for cell in cells]
    shared = sorted(set.intersection(*(set(x) for x in values)))
    return np.array([[x[seed] for seed in shared] for x in values]).reshape(len(cells), -1)


@dataclass(frozen=True)
class _Blocks:
    """The values of all initialisers on all blocks."""

    measure: Measure[Any]
    places: list[tuple[str, str]]
    names: list[str]
    reference: str
    values: list[Array]  # of each block: (initialisers, seeds)
    confidence: float

    def aggregates(self, label: str, absent: Sequence[str]) -> Aggregates:
        found = Aggregates(
            measure=label,
            direction=self.measure.direction,
            unit=self.measure.unit,
            reference=self.reference,
            blocks=self.places,
            pairs=[block.shape[1] for block in self.values],
            note=self._obstacle(),
        )
        if found.note:
            return found
        at = thresholds([x.ravel() for x in self.scores])
        critical = critical_difference(self.means, self.confidence)
        return replace(
            found,
            yardsticks=[y for y in self.yardsticks if y is not None],
            thresholds=at.tolist() if self.independent else [],
            lines=[self._line(i, at) for i in range(len(self.names))],
            friedman_p=critical.friedman_p if critical else None,
            critical_difference=critical.difference if critical else None,
            note="; ".join(self._notes(absent)),
        )

    def _obstacle(self) -> str:
        """Say why there can be no aggregates; empty where there can (rule 303)."""
        for (model, dataset), block, size in zip(
            self.places, self.values, self.yardsticks, strict=True
        ):
            on = f"not aggregated: on {model}, {dataset}"
            if block.shape[1] < 2:
                return f"{on}, fewer than two seeds are there for all initialisers"
            if not np.isfinite(block).all():
                return f"{on}, there are infinite values without a cap"
            if size is None:
                return f"{on}, half of the initialisers have no variance"
        return ""

    @property
    def independent(self) -> bool:
        """Whether trials have values of their own, not pseudo-values."""
        return not isinstance(self.measure, PopulationMeasure)

    @cached_property
    def yardsticks(self) -> list[float | None]:
        return [yardstick(x) if np.isfinite(x).all() else None for x in self.values]

    @cached_property
    def scores(self) -> list[Array]:
        """Values in yardsticks from the reference's mean, the higher the better (rule 304)."""
        at, sign = self.names.index(self.reference), self._sign
        return [
            sign * (block - block[at].mean()) / y
            for block, y in zip(self.values, self.yardsticks, strict=True)
            if y is not None
        ]

    @cached_property
    def means(self) -> Array:
        """The mean of each initialiser on each block: (blocks, initialisers)."""
        return np.array([block.mean(axis=1) for block in self.values])

    @cached_property
    def drawn(self) -> Draws:
        return draws([block.shape[1] for block in self.values])

    @cached_property
    def ranks(self) -> tuple[Array, list[RankInterval]]:
        mean_rank = mean_ranks(self.means, higher_is_better=self._sign > 0)
        return mean_rank, rank_intervals(ahead_over_blocks(self.scores, self.confidence))

    @property
    def _sign(self) -> int:
        return 1 if self.measure.direction == "higher" else -1

    def _line(self, i: int, at: Array) -> Aggregate:
        confidence = self.confidence
        mean_rank, ranks = self.ranks
        shape = profile([score[i] for score in self.scores], at, self.drawn, confidence)
        line = Aggregate(
            initialiser=self.names[i],
            mean_rank=float(mean_rank[i]),
            best_rank=ranks[i].best,
            worst_rank=ranks[i].worst,
            profile=shape.shares.tolist(),
            profile_low=[] if shape.low is None else shape.low.tolist(),
            profile_high=[] if shape.high is None else shape.high.tolist(),
        )
        if not self.independent:
            line = replace(line, profile=[], profile_low=[], profile_high=[])
        return line if self.names[i] == self.reference else replace(line, **self._compared(i))

    def _compared(self, i: int) -> dict[str, Any]:
        """Return the fields of an aggregate that are about the difference to the reference."""
        better = [score[i] - score[self.names.index(self.reference)] for score in self.scores]
        differences = [self._sign * x for x in better]
        over_blocks = BlockMean.of(differences)
        interval = over_blocks.interval(self.confidence) if over_blocks else None
        bootstrap = mean(differences, self.drawn, self.confidence)
        found = {
            "difference": bootstrap.value,
            **_ends("", interval),
            **_ends("bootstrap_", bootstrap.interval),
        }
        if self.independent:
            middle = interquartile_mean(differences, self.drawn, self.confidence)
            wins = [(x > 0) + 0.5 * (x == 0) for x in better]
            won = improvement(wins, self.drawn, self.confidence)
            found |= {
                "interquartile_mean": middle.value,
                **_ends("interquartile_", middle.interval),
                "improvement": won.value,
                **_ends("improvement_", won.interval),
            }
        return found

    def _notes(self, absent: Sequence[str]) -> Iterator[str]:
        if absent:
            yield f"not on all blocks, so not aggregated: {', '.join(absent)}"
        if not self.drawn:
            yield "too few seeds for a bootstrap"
        if not self.independent:
            yield "from pseudo-values of trials, so that only means and ranks are given"
        if len(self.values) < FEWEST_BLOCKS:
            yield f"no critical difference below {FEWEST_BLOCKS} blocks, here {len(self.values)}"


def _ends(of: str, interval: Interval | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{of}low": low, f"{of}high": high}
