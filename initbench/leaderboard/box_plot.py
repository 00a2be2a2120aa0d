"""The box plot: how the values of every initialiser lie, by trial, by ensemble or by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from initbench import formatting
from initbench.leaderboard import svg
from initbench.leaderboard.plots import ROW, WIDTH
from initbench.leaderboard.text import shortened
from initbench.results import Row

_HALF = 6.5  # half the height of a box


@dataclass(frozen=True)
class Box:
    """What a box plot draws of some values (Tukey 1977, Exploratory Data Analysis)."""

    first: float  # quartiles, interpolated linearly
    median: float
    third: float
    low: float  # ends of the whiskers: the furthest values within 1.5 times the box of it
    high: float
    others: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Box:
        """Return the box of finite values, of which there is at least one."""
        first, median, third = (float(x) for x in np.quantile(values, [0.25, 0.5, 0.75]))
        reach = 1.5 * (third - first)
        near = [x for x in values if first - reach <= x <= third + reach]
        others = tuple(sorted(x for x in values if not first - reach <= x <= third + reach))
        return cls(first, median, third, min(near), max(near), others)


def values_shown(row: Row) -> list[float]:
    """Return the finite values of a row that a box plot shows: of its parts, if it has any."""
    return [x for x in row.parts or row.values.values() if math.isfinite(x)]


def box_plot(rows: Sequence[Row], reference: str, *, title: str, prefix: str) -> Element | None:
    """Plot the values of every initialiser, one a line, in the given order.

    Args:
        rows: of one measure on one model and data set.
        reference: its name is drawn heavier.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where no initialiser has two finite values.
    """
    shown = [(row, values_shown(row)) for row in rows]
    if all(len(values) < 2 for _, values in shown):
        return None
    unit = rows[0].unit
    top, bottom = 12.0, 12.0 + ROW * len(rows)
    x = svg.Span.around([v for _, values in shown for v in values], 150, WIDTH - 26)
    spoken = "; ".join(_says(row, values) for row, values in shown)
    plot = svg.plot(WIDTH, bottom + 44, title=title, description=spoken, prefix=prefix)
    for tick in x.ticks():
        at = x.at(tick)
        svg.shape(plot, "line", "grid", x1=at, x2=at, y1=top - 6, y2=bottom)
        label = f"{100 * tick if unit == 'fraction' else tick:,.4g}"
        svg.label(plot, at, bottom + 18, label.replace("-", "−"), "tick middle")
    measure = f"{rows[0].measure}, {formatting.unit_of_values(unit)}".rstrip(", ")
    svg.label(plot, x.end, bottom + 36, shortened(measure, 60), "axis-title end")
    for index, (row, values) in enumerate(shown):
        style = "values reference" if row.initialiser == reference else "values"
        line = svg.group(plot, style, _says(row, values))
        y = top + ROW * (index + 0.5)
        svg.label(line, x.start - 14, y + 4, shortened(row.initialiser, 18), "name end")
        if values:
            _add_box(line, x, y, Box.of(values))
    return plot


def _add_box(line: Element, x: svg.Span, y: float, box: Box) -> None:
    for start, end in ((box.low, box.first), (box.third, box.high)):
        svg.shape(line, "line", "whisker", x1=x.at(start), x2=x.at(end), y1=y, y2=y)
    width = x.at(box.third) - x.at(box.first)
    svg.shape(line, "rect", "box", x=x.at(box.first), y=y - _HALF, width=width, height=2 * _HALF)
    median = x.at(box.median)
    svg.shape(line, "line", "median", x1=median, x2=median, y1=y - _HALF, y2=y + _HALF)
    for other in box.others:
        svg.shape(line, "circle", "other", cx=x.at(other), cy=y, r=2.2)


def _says(row: Row, values: Sequence[float]) -> str:
    if not values:
        return f"{row.initialiser}: nothing to draw"
    box = Box.of(values)
    quartiles = formatting.interval(box.first, box.third, row.unit)
    median = formatting.value(box.median, row.unit)
    left_out = len(row.parts or row.values) - len(values)
    without = f", {left_out} not finite" if left_out else ""
    return f"{row.initialiser}: median {median}, quartiles {quartiles} of {len(values)}{without}"
