"""The plot of layers: what a measure shows of each layer of a network, by initialiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from initbench import formatting
from initbench.leaderboard import svg
from initbench.leaderboard.plots import WIDTH, line_style
from initbench.leaderboard.text import shortened
from initbench.results import LayerBand

NAMED = 8
"""As many layers have their names on the axis; of more, it counts them."""

_Point = tuple[int, float, float, float]
"""Position of a layer, first quartile, median and third quartile, as they are drawn."""


def layer_plot(
    bands: Sequence[LayerBand], reference: str, *, title: str, prefix: str
) -> Element | None:
    """Plot the median of every initialiser over layers, with a band from quartile to quartile.

    Args:
        bands: of one measure on one model and data set, one for each initialiser.
        reference: its line is drawn heavier, in the colour of the text.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where there is nothing finite to draw.
    """
    layers = list(dict.fromkeys(name for band in bands for name in band.layers))
    # Styles go by position among all bands, as in the other plots of a board.
    series = [
        (band, line_style(band.initialiser, i, reference), _points(band, layers))
        for i, band in enumerate(bands)
    ]
    drawable = [entry for entry in series if entry[2]]
    if not drawable:
        return None
    height = max(320, 18 * len(drawable) + 90)
    x = svg.Span.around([1, len(layers)], 56, WIDTH - 182)
    numbers = [n for _, _, points in drawable for _, *drawn in points for n in drawn]
    if not any(numbers):
        numbers.append(1.0)  # a line of zeros lies at the bottom
    y = svg.Span.around(numbers, height - 44, 30)
    spoken = f"By layer, from {layers[0]} to {layers[-1]}: " + "; ".join(
        _says(band) for band, _, _ in drawable
    )
    plot = svg.plot(WIDTH, height, title=title, description=spoken, prefix=prefix)
    _add_axes(plot, x, y, bands[0], layers)
    ends = [y.at(points[-1][2]) for _, _, points in drawable]
    label_heights = svg.spread(ends, y.end - 8, y.start + 4, gap=18)
    for (band, style, points), label_y in zip(drawable, label_heights, strict=True):
        _add_series(plot, x, y, band, style, points, label_y)
    return plot


def _points(band: LayerBand, layers: Sequence[str]) -> list[_Point]:
    """Return what can be drawn: finite numbers, on a logarithmic axis above zero."""
    points = []
    quartiles = zip(band.layers, band.low, band.median, band.high, strict=True)
    for name, *numbers in quartiles:
        known = [n for n in numbers if n is not None and (n > 0 or not band.logarithmic)]
        if len(known) == 3:
            low, median, high = (math.log10(n) if band.logarithmic else n for n in known)
            points.append((layers.index(name) + 1, low, median, high))
    return points


def _says(band: LayerBand) -> str:
    unit = formatting.unit_of_values(band.unit)
    first, last = (formatting.value(band.median[i], band.unit) for i in (0, -1))
    return f"{band.initialiser} {first} to {last} {unit}".rstrip()


def _add_axes(
    plot: Element, x: svg.Span, y: svg.Span, band: LayerBand, layers: Sequence[str]
) -> None:
    unit = formatting.unit_of_values(band.unit)
    svg.label(plot, 4, y.end - 16, f"{unit}, median of trials", "axis-title")
    for tick in y.powers() if band.logarithmic else y.ticks():
        at = y.at(tick)
        svg.shape(plot, "line", "grid", x1=x.start, x2=x.end, y1=at, y2=at)
        svg.label(plot, x.start - 7, at + 4, _tick(tick, band), "tick end")
    step = max(math.ceil(len(layers) / NAMED), 1)
    for position, name in enumerate(layers, start=1):
        if len(layers) <= NAMED:
            room = int((x.end - x.start) / max(len(layers) - 1, 1) / 7)
            shown = shortened(name, max(room, 3))
            svg.label(plot, x.at(position), y.start + 18, shown, "tick middle")
        elif position == 1 or position % step == 0:
            svg.label(plot, x.at(position), y.start + 18, str(position), "tick middle")
    svg.label(plot, x.end, y.start + 36, "layer, in forward order", "axis-title end")


def _tick(tick: float, band: LayerBand) -> str:
    if band.logarithmic:
        return f"{10**tick:.3g}"
    return f"{100 * tick if band.unit == 'fraction' else tick:.4g}"


def _add_series(
    plot: Element,
    x: svg.Span,
    y: svg.Span,
    band: LayerBand,
    style: str,
    points: Sequence[_Point],
    label_y: float,
) -> None:
    series = svg.group(plot, f"series {style}", f"{_says(band)}, median of {band.n} trials")
    series.set("tabindex", "0")
    series.set("role", "img")
    upper = [(x.at(p), y.at(high)) for p, _, _, high in points]
    lower = [(x.at(p), y.at(low)) for p, low, _, _ in reversed(points)]
    svg.path(series, "polygon", "band", upper + lower)
    line = [(x.at(p), y.at(median)) for p, _, median, _ in points]
    svg.path(series, "polyline", "line", line)
    for at in line:
        svg.shape(series, "circle", "dot", cx=at[0], cy=at[1], r=2.4)
    label_x = x.end + 22
    svg.path(series, "polyline", "leader", [line[-1], (label_x, label_y)])
    svg.shape(series, "line", "line", x1=label_x, x2=label_x + 24, y1=label_y, y2=label_y)
    svg.label(series, label_x + 30, label_y + 4, shortened(band.initialiser, 18), "name")
