"""Histograms of activations or gradients: a row for each layer, a column for each initialiser."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from initbench.leaderboard import svg
from initbench.leaderboard.panels import SIGMA, Grid, chosen, local, names, number
from initbench.leaderboard.plots import WIDTH, line_style
from initbench.results import LayerHistograms

_ROW = 48.0
_SHORT = 4  # letters of a number


def histogram_plot(
    cells: Sequence[LayerHistograms], reference: str, *, title: str, prefix: str
) -> Element | None:
    """Plot the distribution of values in each layer, and write its deviation above.

    The layers of an initialiser share a horizontal axis, so that it shows where values shrink or
    grow from layer to layer; heights fill the panel.

    Args:
        cells: of one measure on one model and data set, one for each initialiser.
        reference: drawn in the colour of the text.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where there is nothing to draw.
    """
    if not cells:
        return None
    layers = list(dict.fromkeys(name for cell in cells for name in cell.layers))
    rows = [layers[i] for i in chosen(layers)]
    called = names(layers)
    grid = Grid(len(cells), len(rows), _ROW)
    spoken = "; ".join(_says(cell, rows) for cell in cells)
    plot = svg.plot(WIDTH, grid.height, title=title, description=spoken, prefix=prefix, dense=True)
    for index, cell in enumerate(cells):
        style = line_style(cell.initialiser, index, reference)
        column = svg.group(plot, f"series {style}", _says(cell, rows))
        column.set("tabindex", "0")
        column.set("role", "img")
        grid.add_title(column, index, cell.initialiser)
        for row, layer in enumerate(rows):
            if grid.is_first(index):
                y = grid.y(index, row)
                svg.label(plot, 4, y.start - 4, called[layer], "tick")
            _add_panel(column, grid, index, row, cell, layer)
        _add_axis(column, grid, index, len(rows) - 1, cell.reach)
    return plot


def _says(cell: LayerHistograms, rows: Sequence[str]) -> str:
    known = dict(zip(cell.layers, cell.deviations, strict=True))
    said = ", ".join(f"{local(x)} {number(known[x])}" for x in rows if x in known)
    return f"{cell.initialiser}, deviations of {cell.quantity}: {said}"


def _add_panel(
    column: Element, grid: Grid, index: int, row: int, cell: LayerHistograms, layer: str
) -> None:
    x, y = grid.x(index), grid.y(index, row)
    svg.shape(column, "line", "axis", x1=x.start, x2=x.end, y1=y.start, y2=y.start)
    if layer not in cell.layers:
        return
    position = cell.layers.index(layer)
    deviation, shares = cell.deviations[position], cell.shares[position]
    sigma = number(deviation) if deviation is None else f"{SIGMA} {number(deviation)}"
    svg.label(column, x.end, y.end - 3, sigma, "tick end")
    highest = max(shares)
    if highest > 0:
        width = 1 / len(shares)
        corners = [(0.0, 0.0)]
        for i, share in enumerate(shares):
            corners += [(i * width, share / highest), ((i + 1) * width, share / highest)]
        drawn = [(x.at(at), y.at(height)) for at, height in [*corners, (1.0, 0.0)]]
        svg.path(column, "polygon", "bars", drawn)


def _add_axis(column: Element, grid: Grid, index: int, row: int, reach: float) -> None:
    x, y = grid.x(index), grid.y(index, row)
    for at, value, anchor in ((0.0, -reach, ""), (0.5, 0.0, " middle"), (1.0, reach, " end")):
        svg.shape(column, "line", "axis", x1=x.at(at), x2=x.at(at), y1=y.start, y2=y.start + 4)
        if value == 0 and len(number(reach)) > _SHORT:
            continue  # long numbers to its left and right leave no room
        svg.label(column, x.at(at), y.start + 17, number(value), f"tick{anchor}")
