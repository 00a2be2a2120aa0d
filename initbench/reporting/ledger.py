"""The ledger: what initialisers did to the network, what they cost, and when that is paid back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from initbench.measures.spent import costs_of, device_seconds, energy_joules
from initbench.reporting.cells import Cell
from initbench.results import Row
from initbench.store.artifact import StoredArtifact
from initbench.store.manifest import SuiteManifest
from initbench.store.record import Cost, Record

TREATMENTS = ("generated", "rule", "fallback", "untouched")
TRAININGS = (1, 10, 100, 1000)
"""Over how many trainings zoo and fit are spread in the table of costs."""


def coverage(cell: Cell) -> dict[str, Any] | None:
    """Return the share of elements that had each treatment, as a mean over trials."""
    shares = [_shares(record) for record in cell.records.values() if record.coverage]
    if not shares:
        return None
    return {**cell.names, **{name: fmean(share[name] for share in shares) for name in TREATMENTS}}


def _shares(record: Record) -> dict[str, float]:
    total = sum(row.elements for row in record.coverage)
    return {
        name: sum(row.elements for row in record.coverage if row.treatment == name) / total
        for name in TREATMENTS
    }


@dataclass(frozen=True)
class Ledger:
    """Where costs are looked up: records of trials and zoo trials, and fitted artifacts, by key."""

    manifest: SuiteManifest
    records: Mapping[str, Record]
    artifacts: Mapping[str, StoredArtifact]

    def cost(self, cell: Cell, reference: Cell | None, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what a cell cost: means over its trials, and once for all of them fit and zoo.

        The time of a trial that was trained in a stack is an equal share of the stack's, and so is
        its energy. An initialiser carries the whole cost of a zoo that it shares. What is not in
        the store, or was not measured, is None. `amortised` are the device seconds of one of so
        many trainings, each with its share of zoo and fit (rule 29). `break_even` is the number of
        trainings after which fit and zoo are paid back by reaching the suite's first target in
        fewer steps than the reference (rule 28).
        """
        costs = [record.cost for record in cell.records.values()]
        starts = _starts(cell)
        fits, zoo, before = self._fits(cell), self._zoo(cell), self.before(cell)
        return {
            **cell.names,
            "trials": len(costs),
            "wall_seconds": _mean(_shares_of_wall(costs)),
            "wall_seconds_total": sum(_shares_of_wall(costs)),
            "device_seconds": device_seconds(costs) / len(costs) if costs else None,
            "device_seconds_total": device_seconds(costs),
            "images_seen": _mean([c.images_seen for c in costs]),
            "peak_memory_bytes": max((c.peak_memory_bytes for c in costs), default=None),
            "exclusive": bool(costs) and all(c.exclusive and c.stack_size == 1 for c in costs),
            "initialise_seconds": _mean(_shares_of_wall(starts)),
            "energy_joules": _mean_energy(costs),
            "before_device_seconds": device_seconds(before) if before else None,
            "before_energy_joules": energy_joules(before) if before else None,
            "amortised": _amortised(costs, starts, before),
            "fit_seconds": _wall_seconds(fits),
            "zoo_seconds": _wall_seconds(zoo),
            "break_even": self._break_even(cell, reference, rows),
        }

    def before(self, cell: Cell) -> list[Cost] | None:
        """Return the costs of all fits and zoo trials behind a cell; None if one is missing."""
        fits, zoo = self._fits(cell), self._zoo(cell)
        return None if fits is None or zoo is None else [*fits, *zoo]

    def _fits(self, cell: Cell) -> list[Cost] | None:
        """Return the costs of the fits behind a cell; None if one is not in the store."""
        keys = _artifact_keys(cell)
        if not keys <= self.artifacts.keys():
            return None
        return [self.artifacts[key].cost for key in sorted(keys)]

    def _zoo(self, cell: Cell) -> list[Cost] | None:
        """Return the costs of the zoo trials behind a cell; None if one is not in the store."""
        keys = {k for a in _artifact_keys(cell) for k in self.manifest.zoos.get(a, [])}
        if not keys <= self.records.keys():
            return None
        return [cost for key in sorted(keys) for cost in costs_of(self.records[key])]

    def _break_even(self, cell: Cell, reference: Cell | None, rows: Sequence[Row]) -> int | None:
        before = self.before(cell)
        if reference is None or before is None:
            return None
        steps, reference_steps = _steps_to_target(cell, rows), _steps_to_target(reference, rows)
        costs = [r.cost for c in (cell, reference) for r in c.records.values()]
        trained_steps = sum(cost.steps for cost in costs)
        if steps is None or reference_steps is None or not trained_steps:
            return None
        if steps >= reference_steps:  # the time of initialising alone is mostly noise
            return None
        seconds_a_step = device_seconds(costs) / trained_steps
        spent = device_seconds(before)
        saved = (reference_steps - steps) * seconds_a_step + _slower_start(reference, cell)
        return math.ceil(spent / saved) if spent > 0 and saved > 0 else None


def _artifact_keys(cell: Cell) -> set[str]:
    return {entry.artifact for entry in cell.entries if entry.artifact is not None}


def _steps_to_target(cell: Cell, rows: Sequence[Row]) -> float | None:
    """Return the mean of the first measure in steps; None if a trial misses the target."""
    names = (cell.initialiser, cell.model, cell.dataset)
    here = (
        row.mean
        for row in rows
        if row.unit == "steps" and (row.initialiser, row.model, row.dataset) == names
    )
    return next(here, None)


def _mean(numbers: Sequence[float]) -> float | None:
    return fmean(numbers) if numbers else None


def _wall_seconds(costs: Sequence[Cost] | None) -> float | None:
    """Return their sum; None also where there was nothing to do."""
    return sum(_shares_of_wall(costs)) if costs else None


def _shares_of_wall(costs: Sequence[Cost]) -> list[float]:
    return [cost.wall_seconds / cost.stack_size for cost in costs]


def _starts(cell: Cell) -> list[Cost]:
    found = [record.initialise_cost for record in cell.records.values()]
    return [cost for cost in found if cost is not None]


def _slower_start(reference: Cell, cell: Cell) -> float:
    """Return how many device seconds more the reference initialises, where both were measured."""
    theirs, ours = _starts(reference), _starts(cell)
    if not theirs or not ours:
        return 0.0
    return device_seconds(theirs) / len(theirs) - device_seconds(ours) / len(ours)


def _mean_energy(costs: Sequence[Cost]) -> float | None:
    total = energy_joules(costs)
    return None if total is None or not costs else total / len(costs)


def _amortised(
    costs: Sequence[Cost], starts: Sequence[Cost], before: Sequence[Cost] | None
) -> dict[str, float] | None:
    if not costs or len(starts) < len(costs) or before is None:
        return None
    each = (device_seconds(costs) + device_seconds(starts)) / len(costs)
    return {str(n): each + device_seconds(before) / n for n in TRAININGS}
