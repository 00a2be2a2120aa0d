"""The last layer over training: weights, activations and gradients, a column for each initialiser.

After the figures of Chang et al. 2020, appendix B.1, on the evolution of the output layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from initbench.leaderboard import svg
from initbench.leaderboard.panels import SIGMA, Grid, diverged, number
from initbench.leaderboard.plots import WIDTH, line_style
from initbench.results import LastLayer

_SHOWN = ("weight", "activation", "gradient")
_ROW = 96.0

_Point = tuple[int, float, float]
"""Steps, mean and deviation."""


def last_layer_plot(
    cells: Sequence[LastLayer], reference: str, *, title: str, prefix: str
) -> Element | None:
    """Plot means with a band of one deviation to either side, and write the deviations above.

    The panels of a row share an axis, which is long enough for those that trained to the end;
    what is beyond it is cut off at the edge.

    Args:
        cells: on one model and data set, one for each initialiser.
        reference: drawn in the colour of the text.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where there is nothing to draw.
    """
    if not cells:
        return None
    last = max(cell.steps[-1] for cell in cells)
    reaches = {what: _reach(cells, what, last) for what in _SHOWN}
    grid = Grid(len(cells), len(_SHOWN), _ROW)
    spoken = "; ".join(_says(cell) for cell in cells)
    plot = svg.plot(WIDTH, grid.height, title=title, description=spoken, prefix=prefix, dense=True)
    for index, cell in enumerate(cells):
        style = line_style(cell.initialiser, index, reference)
        column = svg.group(plot, f"series {style}", _says(cell))
        column.set("tabindex", "0")
        column.set("role", "img")
        ended = diverged(cell.steps, last)
        grid.add_title(column, index, cell.initialiser)
        for row, what in enumerate(_SHOWN):
            panel = grid.y(index, row)
            y = svg.Span(-reaches[what], reaches[what], panel.start, panel.end)
            x = svg.Span(0, max(last, 1), grid.x(index).start, grid.x(index).end)
            if grid.is_first(index):
                _add_names(plot, y, f"{what}s")
            _add_panel(column, x, y, cell, what)
        bottom = grid.y(index, len(_SHOWN) - 1).start
        svg.label(column, x.start, bottom + 17, "0", "tick")
        svg.label(column, x.end, bottom + 17, ended or f"{last:,} steps", "tick end")
    return plot


def _reach(cells: Sequence[LastLayer], what: str, last: int) -> float:
    """Return how far the axis of a row goes to either side."""
    for shown in ([cell for cell in cells if cell.steps[-1] == last], cells):
        found = [abs(mean) + std for cell in shown for _, mean, std in _points(cell, what)]
        if any(found):
            return max(found)
    return 1.0


def _points(cell: LastLayer, what: str) -> list[_Point]:
    numbers = zip(cell.steps, cell.mean[what], cell.deviation[what], strict=True)
    return [
        (step, mean, std) for step, mean, std in numbers if mean is not None and std is not None
    ]


def _says(cell: LastLayer) -> str:
    said = [f"deviation of {what}s {_from_to(cell, what)}" for what in _SHOWN]
    return f"{cell.initialiser}, {cell.layer}: {', '.join(said)}"


def _from_to(cell: LastLayer, what: str) -> str:
    curve = cell.deviation[what]
    return " → ".join(number(x) for x in (curve[0], curve[-1])[: len(curve)])


def _add_names(plot: Element, y: svg.Span, name: str) -> None:
    svg.label(plot, 4, y.end - 4, name, "axis-title")
    for tick, move in ((y.low, 0), (0.0, 4), (y.high, 8)):
        svg.label(plot, 66, y.at(tick) + move, number(tick), "tick end")


def _add_panel(column: Element, x: svg.Span, y: svg.Span, cell: LastLayer, what: str) -> None:
    def at(step: int, height: float) -> svg.Point:
        return x.at(step), y.at(min(max(height, y.low), y.high))

    for tick in (y.low, 0.0, y.high):
        svg.shape(column, "line", "grid", x1=x.start, x2=x.end, y1=y.at(tick), y2=y.at(tick))
    svg.label(column, x.end, y.end - 4, f"{SIGMA} {_from_to(cell, what)}", "tick end")
    points = _points(cell, what)
    if points:
        upper = [at(step, mean + std) for step, mean, std in points]
        lower = [at(step, mean - std) for step, mean, std in reversed(points)]
        svg.path(column, "polygon", "deviation", upper + lower)
        svg.path(column, "polyline", "line", [at(step, mean) for step, mean, _ in points])
        if math.isclose(points[0][0], points[-1][0]):
            step, mean, std = points[0]
            svg.path(column, "polyline", "line", [at(step, mean - std), at(step, mean + std)])
