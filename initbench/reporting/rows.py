"""Rows: one cell seen through one measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

import numpy as np

from initbench.measures.measure import Measure
from initbench.reporting.cells import Cell, capped, values_of
from initbench.results import Row
from initbench.statistics.interval import mean_interval


def row(measure: Measure[Any], label: str, cell: Cell, confidence: float) -> Row:
    """Summarise the values of a cell (rules 1 to 4 and 7)."""
    values = values_of(measure, cell)
    numbers = list(values.values())
    finite = bool(numbers) and all(math.isfinite(x) for x in numbers)
    interval = mean_interval(numbers, confidence) if finite else None
    first, median, third = _quartiles(numbers)
    notes = [
        _on_number(numbers, interval is not None),
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
        mean=fmean(numbers) if finite else None,
        std=stdev(numbers) if finite and len(numbers) > 1 else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        median=median,
        values=values,
        note="; ".join(note for note in notes if note),
        first_quartile=first,
        third_quartile=third,
    )


def population_row(measure: Measure[Any], label: str, cell: Cell) -> Row | None:
    """Return the row of the value that belongs to all trials at once, if the measure has one."""
    if not cell.records:
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


def _quartiles(numbers: list[float]) -> tuple[float | None, float | None, float | None]:
    """Return first quartile, median and third quartile, None where infinite or not defined."""
    if not numbers:
        return None, None, None
    with np.errstate(invalid="ignore"):  # between two infinite values there is no number
        first, median, third = (
            float(x) if np.isfinite(x) else None for x in np.quantile(numbers, [0.25, 0.5, 0.75])
        )
    return first, median, third


def _on_number(numbers: list[float], has_interval: bool) -> str:
    if has_interval or not all(math.isfinite(x) for x in numbers):
        return ""
    if len(numbers) > 1:
        return "no variance: no interval"
    return "one seed: no interval" if numbers else "no trial yet"


def _on_misses(measure: Measure[Any], cell: Cell, values: Mapping[int, float]) -> str:
    misses = sum(math.isinf(x) for x in values.values())
    if not misses:
        return ""
    note = f"the target is missed in {misses} of {len(values)} trials"
    finite = capped(measure, cell, values)
    if all(math.isfinite(x) for x in finite.values()):
        note += f"; mean {fmean(finite.values()):.6g} with a complete run for each miss"
    return note
