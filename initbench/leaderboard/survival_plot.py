"""The survival plot: the share of trials that had reached their target by each step.

Each trial is watched to the end of its run, so one minus the estimate of Kaplan and Meier (1958,
JASA 53) is the share itself: what missed the target is known only to take longer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from initbench import formatting
from initbench.leaderboard import svg
from initbench.leaderboard.plots import WIDTH, line_style
from initbench.leaderboard.text import shortened
from initbench.results import Row

_RIGHT = WIDTH - 182


def survival_plot(
    rows: Sequence[Row], reference: str, *, ps: Mapping[str, float], title: str, prefix: str
) -> Element | None:
    """Plot the share of trials that reached the target by each step, a line for each initialiser.

    Args:
        rows: of one measure on one model and data set, in the order of the suite.
        reference: its line is drawn heavier, in the colour of the text.
        ps: by initialiser, that of the log-rank test against the reference, where there is one.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where the measure has no target or nobody reached it.
    """
    limits = [row.limit for row in rows if row.limit is not None]
    if not limits or not any(math.isfinite(x) for row in rows for x in row.values.values()):
        return None
    styles = [line_style(row.initialiser, i, reference) for i, row in enumerate(rows)]
    drawable = [(row, style) for row, style in zip(rows, styles, strict=True) if row.values]
    height = max(320, 18 * len(drawable) + 90)
    x = svg.Span(0.0, max(limits), 46, _RIGHT)
    y = svg.Span(0.0, 1.0, height - 46, 30)
    spoken = "; ".join(_says(row, ps.get(row.initialiser)) for row, _ in drawable)
    plot = svg.plot(WIDTH, height, title=title, description=spoken, prefix=prefix)
    _add_axes(plot, x, y, rows[0].unit)
    ends = [y.at(_reached(row)) for row, _ in drawable]
    heights = svg.spread(ends, y.end, y.start, gap=18)
    for (row, style), label_y in zip(drawable, heights, strict=True):
        series = svg.group(plot, f"series {style}", _says(row, ps.get(row.initialiser)))
        series.set("tabindex", "0")
        series.set("role", "img")
        line = [(x.at(at), y.at(share)) for at, share in steps(row, x.high)]
        svg.path(series, "polyline", "line", line)
        label_x = x.end + 22
        svg.path(series, "polyline", "leader", [line[-1], (label_x, label_y)])
        svg.shape(series, "line", "line", x1=label_x, x2=label_x + 24, y1=label_y, y2=label_y)
        svg.label(series, label_x + 30, label_y + 4, shortened(row.initialiser, 18), "name")
    return plot


def steps(row: Row, limit: float) -> list[tuple[float, float]]:
    """Return the corners of the line, from nothing reached at 0 to the end of a complete run."""
    hits = sorted(x for x in row.values.values() if math.isfinite(x))
    corners = [(0.0, 0.0)]
    for count, at in enumerate(hits, start=1):
        corners += [(at, corners[-1][1]), (at, count / len(row.values))]
    return [*corners, (limit, corners[-1][1])]


def _reached(row: Row) -> float:
    return sum(math.isfinite(x) for x in row.values.values()) / len(row.values)


def _says(row: Row, p: float | None) -> str:
    hits = sum(math.isfinite(x) for x in row.values.values())
    said = f"{row.initialiser}: {hits} of {len(row.values)} reached it"
    if row.median is not None:
        said += f", half of all by {formatting.value(row.median, row.unit)} {row.unit}"
    return said if p is None else f"{said}, p of the log-rank test {formatting.p_value(p)}"


def _add_axes(plot: Element, x: svg.Span, y: svg.Span, unit: str) -> None:
    svg.label(plot, 4, y.end - 14, "trials that reached it, %", "axis-title")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = y.at(tick)
        svg.shape(plot, "line", "grid", x1=x.start, x2=x.end, y1=at, y2=at)
        svg.label(plot, x.start - 7, at + 4, f"{100 * tick:.0f}", "tick end")
    for tick in x.ticks():
        svg.label(plot, x.at(tick), y.start + 18, f"{tick:,.6g}", "tick middle")
    svg.label(plot, x.end, y.start + 36, unit, "axis-title end")
