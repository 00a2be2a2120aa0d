"""Cells: the trials of one initialiser on one model and data set, and their values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from initbench.errors import PluginError
from initbench.measures.measure import (
    CostMeasure,
    Measure,
    NetworkMeasure,
    PopulationMeasure,
    PopulationValue,
    RecordMeasure,
)
from initbench.reporting.observed import Observed
from initbench.store.manifest import SuiteManifest, TrialEntry
from initbench.store.record import Cost, Record, TrialStatus


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
    observed: Observed = field(default_factory=Observed)
    before: Sequence[Cost] | None = ()  # of fit and zoo; None where one is not in the store

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


def cells_of(
    manifest: SuiteManifest, records: Mapping[str, Record], observed: Observed | None = None
) -> list[Cell]:
    """Sort the trials of a suite into cells, in the order of the suite."""
    observed = observed or Observed()
    grouped: dict[tuple[str, str, str], list[TrialEntry]] = {}
    for entry in manifest.trials:
        grouped.setdefault((entry.initialiser, entry.model, entry.dataset), []).append(entry)
    return [_cell(names, entries, records, observed) for names, entries in grouped.items()]


def values_of(measure: Measure[Any], label: str, cell: Cell) -> dict[int, float]:
    """Return the measure of each trial that counts, by seed (rules 1 and 2).

    Of a population measure these are the pseudo-values. Trials that no probe has looked at yet
    have no value, nor have those for which the measure has none.
    """
    found: dict[int, float | None]
    match measure:
        case RecordMeasure():
            found = {s: _of_record(measure, record) for s, record in cell.records.items()}
        case NetworkMeasure():
            found = {s: _of_network(measure, label, cell, s) for s in cell.records}
        case CostMeasure():
            found = {s: measure.of_costs(r, cell.before) for s, r in cell.records.items()}
        case _:
            population = population_of(measure, label, cell)
            found = dict(population.pseudo_values) if population else {}
    values = {}
    for seed, value in sorted(found.items()):
        if value is None:
            continue
        if math.isnan(value):
            record = cell.records[seed]
            raise PluginError(
                f"measure `{measure.label()}` is not a number for trial {record.key[:12]} "
                f"(`{record.status.value}`); expected a number, or an infinity where a target was "
                "missed; this is a mistake in the measure"
            )
        values[seed] = float(value)
    return values


def population_of(measure: Measure[Any], label: str, cell: Cell) -> PopulationValue | None:
    """Return what a population measure says of a cell; None while nobody has looked, or lost."""
    if not isinstance(measure, PopulationMeasure) or cell.missing:
        return None
    observation = cell.observed.of_cell(label, cell.names)
    return None if observation is None else measure.of_cell(observation, cell.records)


def _of_record(measure: RecordMeasure[Any], record: Record) -> float:
    done = record.status is TrialStatus.DONE
    return measure.of_record(record) if done else measure.worst(record)


def _of_network(measure: NetworkMeasure[Any], label: str, cell: Cell, seed: int) -> float | None:
    record = cell.records[seed]
    observation = cell.observed.of_trial(label, cell.names, seed)
    if observation is None:
        return None
    value = measure.of_observation(observation, record)
    return measure.worst(record) if value is None else value


def capped(measure: Measure[Any], cell: Cell, values: Mapping[int, float]) -> dict[int, float]:
    """Return the values with every infinite one replaced by the measure's cap (rule 4)."""
    finite = dict(values)
    for seed, value in values.items():
        cap = measure.cap(cell.records[seed]) if math.isinf(value) else None
        if cap is not None:
            finite[seed] = float(cap)
    return finite


def _cell(
    names: tuple[str, str, str],
    entries: list[TrialEntry],
    records: Mapping[str, Record],
    observed: Observed,
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
    return Cell(*names, entries=tuple(entries), records=counted, lost=lost, observed=observed)
