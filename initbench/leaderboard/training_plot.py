"""Layers over training: a panel for each initialiser, a line for each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from initbench.leaderboard import svg
from initbench.leaderboard.panels import Grid, chosen, diverged, local, names, number
from initbench.leaderboard.plots import WIDTH
from initbench.results import LayersOverTraining

_ROW = 168.0
_NAMES = 62  # room beside a panel for the names of layers

_Point = tuple[int, float, float, float]
"""Steps, and logarithms of the first quartile, the median and the third quartile."""


def training_plot(
    cells: Sequence[LayersOverTraining], *, title: str, prefix: str
) -> Element | None:
    """Plot medians over trials of each layer, with a band from quartile to quartile.

    All panels share a logarithmic axis, which is long enough for those that trained to the end;
    what is beyond it runs along its edge.

    Args:
        cells: of one measure on one model and data set, one for each initialiser.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where there is nothing finite to draw.
    """
    layers = list(dict.fromkeys(name for cell in cells for name in cell.layers))
    rows = [layers[i] for i in chosen(layers)]
    lines = [{name: _points(cell, name) for name in rows} for cell in cells]
    last = max((cell.steps[-1] for cell in cells), default=0)
    y = _heights(cells, lines, last)
    if y is None:
        return None
    grid = Grid(len(cells), 1, _ROW, left=58, columns=2, gap=_NAMES + 8)
    spoken = "; ".join(_says(cell, rows) for cell in cells)
    plot = svg.plot(WIDTH, grid.height, title=title, description=spoken, prefix=prefix, dense=True)
    for index, (cell, points) in enumerate(zip(cells, lines, strict=True)):
        ended = diverged(cell.steps, last)
        grid.add_title(plot, index, cell.initialiser)
        panel = grid.y(index, 0)
        x = svg.Span(0, max(last, 1), grid.x(index).start, grid.x(index).end - _NAMES)
        svg.label(plot, x.end, panel.end - 4, ended, "tick end")
        heights = svg.Span(y.low, y.high, panel.start, panel.end)
        _add_axes(plot, x, heights, cell.unit if grid.is_first(index) else None)
        _add_lines(plot, x, heights, cell, points, names(layers))
    return plot


def _points(cell: LayersOverTraining, layer: str) -> list[_Point]:
    """Return what can be drawn of a layer: finite numbers above zero."""
    if layer not in cell.layers:
        return []
    i = cell.layers.index(layer)
    points = []
    for step, *numbers in zip(cell.steps, cell.low[i], cell.median[i], cell.high[i], strict=True):
        known = [math.log10(n) for n in numbers if n is not None and n > 0]
        if len(known) == 3:
            low, median, high = known
            points.append((step, low, median, high))
    return points


def _heights(
    cells: Sequence[LayersOverTraining], lines: Sequence[dict[str, list[_Point]]], last: int
) -> svg.Span | None:
    """Return the axis of logarithms for those that trained to the end, or else for all."""
    complete = [points for cell, points in zip(cells, lines, strict=True) if cell.steps[-1] == last]
    for shown in (complete, lines):
        found = [n for cell in shown for points in cell.values() for _, *ns in points for n in ns]
        if found:
            span = svg.Span.around(found, 0, 1)
            margin = max((span.high - span.low) / 20, 0.05)
            return svg.Span(span.low - margin, span.high + margin, 0, 1)
    return None


def _says(cell: LayersOverTraining, rows: Sequence[str]) -> str:
    said = []
    for layer in rows:
        if layer in cell.layers:
            curve = cell.median[cell.layers.index(layer)]
            said.append(f"{local(layer)} {number(curve[0])} to {number(curve[-1])}")
    return f"{cell.initialiser}: {', '.join(said)}"


def _add_axes(plot: Element, x: svg.Span, y: svg.Span, unit: str | None) -> None:
    for tick in y.powers():
        at = y.at(tick)
        svg.shape(plot, "line", "grid", x1=x.start, x2=x.end, y1=at, y2=at)
        if unit is not None:
            svg.label(plot, x.start - 7, at + 4, number(10**tick), "tick end")
    if unit is not None:
        svg.label(plot, 4, y.end - 4, unit, "axis-title")
    svg.shape(plot, "line", "axis", x1=x.start, x2=x.end, y1=y.start, y2=y.start)
    svg.label(plot, x.start, y.start + 17, "0", "tick")
    svg.label(plot, x.end, y.start + 17, f"{x.high:,.0f} steps", "tick end")


def _add_lines(
    plot: Element,
    x: svg.Span,
    y: svg.Span,
    cell: LayersOverTraining,
    lines: dict[str, list[_Point]],
    called: dict[str, str],
) -> None:
    def at(step: int, height: float) -> svg.Point:
        return x.at(step), y.at(min(max(height, y.low), y.high))

    drawn = {name: points for name, points in lines.items() if points}
    ends = [at(points[-1][0], points[-1][2])[1] for points in drawn.values()]
    label_heights = svg.spread(ends, y.end + 4, y.start, gap=14)
    depth = max(len(lines) - 1, 1)
    for (name, points), label_y in zip(drawn.items(), label_heights, strict=True):
        shade = round(7 * list(lines).index(name) / depth)
        series = svg.group(plot, f"series shade{shade}", _says(cell, [name]))
        series.set("tabindex", "0")
        series.set("role", "img")
        upper = [at(step, high) for step, _, _, high in points]
        lower = [at(step, low) for step, low, _, _ in reversed(points)]
        svg.path(series, "polygon", "band", upper + lower)
        line = [at(step, median) for step, _, median, _ in points]
        svg.path(series, "polyline", "line", line)
        svg.shape(series, "circle", "dot", cx=line[-1][0], cy=line[-1][1], r=2.2)
        if len(line) == 1:
            continue
        label_x = x.end + 12
        svg.path(series, "polyline", "leader", [line[-1], (label_x, label_y)])
        svg.label(series, label_x + 2, label_y + 4, called[name], "tick")
