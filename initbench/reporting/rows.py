"""Rows: one cell seen through one measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

import numpy as np

from initbench.measures.measure import Measure, RecordMeasure
from initbench.reporting.cells import Cell, capped, population_of, values_of
from initbench.results import Row
from initbench.statistics.interval import bca_mean, mean_interval, median_interval
from initbench.statistics.tests import shapiro_wilk


def row(measure: Measure[Any], label: str, cell: Cell, confidence: float) -> Row:
    """Summarise the values of a cell (rules 1 to 4 and 7)."""
    values = values_of(measure, label, cell)
    population = population_of(measure, label, cell)
    parts = list(population.parts) if population else []
    numbers = list(values.values())
    finite = bool(numbers) and all(math.isfinite(x) for x in numbers)
    interval = mean_interval(numbers, confidence) if finite else None
    first, median, third = _quartiles(parts or numbers)
    notes = [
        _on_number(cell, numbers, interval is not None),
        _on_looking(measure, cell, values),
        cell.observed.note(label, cell.names),
        _on_misses(measure, cell, values),
        f"{cell.lost} lost" if cell.lost else "",
        measure.note(list(cell.records.values())),
    ]
    return Row(
        initialiser=cell.initialiser,
        model=cell.model,
        dataset=cell.dataset,
        measure=label,
        unit=measure.unit,
        direction=measure.direction,
        n=len(numbers),
        failed=len(cell.failed),
        missing=cell.missing,
        mean=population.value if population else fmean(numbers) if finite else None,
        std=stdev(numbers) if finite and len(numbers) > 1 else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        median=median,
        values=values,
        note="; ".join(note for note in notes if note),
        first_quartile=first,
        third_quartile=third,
        parts=parts,
        sensitivity=_sensitivity(numbers, confidence) if finite and not parts else {},
        limit=_limit(measure, cell),
    )


def population_row(measure: Measure[Any], label: str, cell: Cell) -> Row | None:
    """Return the row of the value that belongs to all trials at once, if the measure has one."""
    if not cell.records or not isinstance(measure, RecordMeasure):
        return None
    value = measure.of_population(list(cell.records.values()))
    if value is None:
        return None
    reached = math.isfinite(value)
    return Row(
        initialiser=cell.initialiser,
        model=cell.model,
        dataset=cell.dataset,
        measure=f"{label}.mean_curve",
        unit=measure.unit,
        direction=measure.direction,
        n=len(cell.records),
        failed=len(cell.failed),
        missing=cell.missing,
        mean=float(value) if reached else None,
        std=None,
        low=None,
        high=None,
        median=None,
        values={},
        note="" if reached else "the mean curve never gets there",
    )


def _sensitivity(numbers: list[float], confidence: float) -> dict[str, float | None]:
    """Return what else there is to say of the values; it decides nothing (rule 12)."""
    bca, median = bca_mean(numbers, confidence), median_interval(numbers, confidence)
    return {
        "bca_low": bca.low if bca else None,
        "bca_high": bca.high if bca else None,
        "median_low": median.low if median else None,
        "median_high": median.high if median else None,
        "shapiro_wilk_p": shapiro_wilk(numbers),
    }


def _limit(measure: Measure[Any], cell: Cell) -> float | None:
    """Return the longest run, in the unit of the measure; None where it has no cap."""
    caps = [cap for r in cell.records.values() if (cap := measure.cap(r)) is not None]
    return max(map(float, caps), default=None)


def _quartiles(numbers: list[float]) -> tuple[float | None, float | None, float | None]:
    """Return first quartile, median and third quartile, None where infinite or not defined."""
    if not numbers:
        return None, None, None
    with np.errstate(invalid="ignore"):  # between two infinite values there is no number
        first, median, third = (
            float(x) if np.isfinite(x) else None for x in np.quantile(numbers, [0.25, 0.5, 0.75])
        )
    return first, median, third


def _on_number(cell: Cell, numbers: list[float], has_interval: bool) -> str:
    if has_interval or not all(math.isfinite(x) for x in numbers):
        return ""
    if len(numbers) > 1:
        return "no variance: no interval"
    if numbers:
        return "one seed: no interval"
    return "" if cell.records else "no trial yet"


def _on_looking(measure: Measure[Any], cell: Cell, values: Mapping[int, float]) -> str:
    without = len(cell.records) - len(values)
    if isinstance(measure, RecordMeasure) or not without:
        return ""
    return f"no value for {without} of {len(cell.records)} trials"


def _on_misses(measure: Measure[Any], cell: Cell, values: Mapping[int, float]) -> str:
    misses = sum(math.isinf(x) for x in values.values())
    if not misses:
        return ""
    note = f"the target is missed in {misses} of {len(values)} trials"
    finite = capped(measure, cell, values)
    if all(math.isfinite(x) for x in finite.values()):
        note += f"; mean {fmean(finite.values()):.6g} with a complete run for each miss"
    return note
