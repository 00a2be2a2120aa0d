"""Cells: the trials of one initialiser on one model and data set, and their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from initbench.errors import PluginError
from initbench.measures.measure import Measure
from initbench.store.manifest import SuiteManifest, TrialEntry
from initbench.store.record import Record, TrialStatus


@dataclass(frozen=True)
class Cell:
    """One initialiser on one model and data set.

    `records` holds, by seed, the trials that count: done, diverged or failed; not lost (rule 3).
    """

    initialiser: str
    model: str
    dataset: str
    entries: tuple[TrialEntry, ...]
    records: Mapping[int, Record]
    lost: int

    @property
    def missing(self) -> int:
        """The number of planned trials without an outcome."""
        return len(self.entries) - len(self.records)

    @property
    def failed(self) -> set[int]:
        """The seeds of the trials that are scored by rule."""
        return {s for s, r in self.records.items() if r.status is not TrialStatus.DONE}

    @property
    def names(self) -> dict[str, str]:
        """Initialiser, model and data set, by these names."""
        return {"initialiser": self.initialiser, "model": self.model, "dataset": self.dataset}


def cells_of(manifest: SuiteManifest, records: Mapping[str, Record]) -> list[Cell]:
    """Sort the trials of a suite into cells, in the order of the suite."""
    grouped: dict[tuple[str, str, str], list[TrialEntry]] = {}
    for entry in manifest.trials:
        grouped.setdefault((entry.initialiser, entry.model, entry.dataset), []).append(entry)
    return [_cell(names, entries, records) for names, entries in grouped.items()]


def values_of(measure: Measure[Any], cell: Cell) -> dict[int, float]:
    """Return the measure of each trial that counts, by seed (rules 1 and 2)."""
    values = {}
    for seed, record in sorted(cell.records.items()):
        done = record.status is TrialStatus.DONE
        value = measure.of_record(record) if done else measure.worst(record)
        if math.isnan(value):
            raise PluginError(
                f"measure `{measure.label()}` is not a number for trial {record.key[:12]} "
                f"(`{record.status.value}`); expected a number, or an infinity where a target was "
                "missed; this is a mistake in the measure"
            )
        values[seed] = float(value)
    return values


def capped(measure: Measure[Any], cell: Cell, values: Mapping[int, float]) -> dict[int, float]:
    """Return the values with every infinite one replaced by the measure's cap (rule 4)."""
    finite = dict(values)
    for seed, value in values.items():
        cap = measure.cap(cell.records[seed]) if math.isinf(value) else None
        if cap is not None:
            finite[seed] = float(cap)
    return finite


def _cell(
    names: tuple[str, str, str], entries: list[TrialEntry], records: Mapping[str, Record]
) -> Cell:
    counted, lost = {}, 0
    for entry in entries:
        record = records.get(entry.key)
        if record is None:
            continue
        if record.status is TrialStatus.LOST:
            lost += 1
        else:
            counted[entry.seed] = record
    return Cell(*names, entries=tuple(entries), records=counted, lost=lost)
