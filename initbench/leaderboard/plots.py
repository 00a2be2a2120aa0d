"""The plots of the leaderboard, as SVG.

Every line of a convergence plot differs from the others by colour and by dash and is named beside
its end; verdicts are told by shape as well as by colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, count
from typing import TypeGuard
from xml.etree.ElementTree import Element

from initbench import formatting
from initbench.leaderboard import svg
from initbench.leaderboard.text import shortened, slug
from initbench.results import Comparison, CurveBand, SuiteResults

WIDTH = 540
COLOURS = 8
DASHES = 4
ROW = 25  # height of a line of the interval plot


def convergence_svg(results: SuiteResults) -> dict[str, str]:
    """Return the convergence plot of each model and data set as a standalone SVG.

    Names are fit for files: `convergence-zoo-cnn-digits`, without a suffix.
    """
    reduced = [f"reduced profile {results.profile}"] if results.reduced else []
    plots: dict[str, str] = {}
    for model, dataset in dict.fromkeys((band.model, band.dataset) for band in results.curves):
        bands = [b for b in results.curves if (b.model, b.dataset) == (model, dataset)]
        base = f"convergence-{slug(model)}-{slug(dataset)}"
        numbered = (f"{base}-{number}" for number in count(2))  # labels may have the same slug
        name = next(name for name in chain([base], numbered) if name not in plots)
        marks = [*reduced, *results.marks(dataset)]
        marked = f" ({', '.join(marks)})" if marks else ""
        title = f"{results.title}: {model} on {dataset}{marked}"
        plot = convergence(bands, results.reference, title=title, prefix=name)
        if plot is not None:
            plots[name] = svg.standalone(plot)
    return plots


def convergence(
    bands: Sequence[CurveBand], reference: str, *, title: str, prefix: str
) -> Element | None:
    """Plot the mean curve of every initialiser, with a band from quartile to quartile.

    Accuracies are plotted in percent, losses on a logarithmic axis.

    Args:
        bands: one for each initialiser, on the same model and data set.
        reference: its line is drawn heavier, in the colour of the text.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where no band has a finite point.
    """
    # Styles go by position among all bands, so that a name keeps its style from plot to plot.
    styles = [line_style(band.initialiser, i, reference) for i, band in enumerate(bands)]
    drawable = [(band, style) for band, style in zip(bands, styles, strict=True) if _runs(band)]
    if not drawable:
        return None
    shown = [(band, i) for band, _ in drawable for run in _runs(band) for i in run]
    height = max(340, 18 * len(drawable) + 90)
    left = 56 if _is_loss(bands[0]) else 40  # losses have longer ticks
    x = svg.Span.around([band.steps[i] for band, i in shown], left, WIDTH - 182)
    values = [
        _height(v, band) for band, i in shown for v in (band.mean[i], band.low[i], band.high[i])
    ]
    y = svg.Span.around(values, height - 40, 30)
    spoken = _spoken([band for band, _ in drawable])
    plot = svg.plot(WIDTH, height, title=title, description=spoken, prefix=prefix)
    _add_axes(plot, x, y, bands[0])
    ends = [y.at(_height(_end(band)[1], band)) for band, _ in drawable]
    label_heights = svg.spread(ends, y.end - 8, y.start + 4, gap=18)
    for (band, style), label_y in zip(drawable, label_heights, strict=True):
        _add_series(plot, x, y, band, label_y=label_y, style=style)
    return plot


def forest(
    comparisons: Sequence[Comparison],
    *,
    unit: str,
    direction: str,
    margin: float | None,
    title: str,
    prefix: str,
) -> Element | None:
    """Plot differences to the reference with their intervals, one a line, in the given order.

    Args:
        comparisons: of one measure on one model and data set.
        unit: of the measure.
        direction: `higher` or `lower`, whichever is better.
        margin: differences inside plus or minus this count as equivalent; drawn as a band.
        title: read out by screen readers.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where no difference is defined.
    """
    if not any(_finite(c.difference) for c in comparisons):
        return None
    top, bottom = 44.0, 44.0 + ROW * len(comparisons)
    reach = [v for c in comparisons for v in (c.difference, c.low, c.high) if _finite(v)]
    x = svg.Span.around([0.0, *reach, *([margin, -margin] if margin else [])], 150, WIDTH - 70)
    spoken = "; ".join(f"{c.initialiser} {_numbers(c, unit)} {c.verdict}" for c in comparisons)
    plot = svg.plot(WIDTH, bottom + 44, title=title, description=spoken, prefix=prefix)
    if margin:
        start, end = x.at(-margin), x.at(margin)
        svg.shape(
            plot, "rect", "margin", x=start, y=top - 6, width=end - start, height=bottom - top + 6
        )
    _add_difference_axis(plot, x, top, bottom, unit)
    _add_direction(plot, x.at(0), top - 16, direction)
    where = f"difference to {shortened(comparisons[0].reference, 24)}"
    of_unit = formatting.unit_of_differences(unit)
    axis_title = f"{where}, {of_unit}" if of_unit else where
    svg.label(plot, x.end, bottom + 36, axis_title, "axis-title end")
    for index, comparison in enumerate(comparisons):
        _add_difference(plot, x, comparison, unit, top + ROW * (index + 0.5))
    return plot


def coverage_bar(shares: Sequence[tuple[str, float]]) -> Element:
    """Draw shares of a whole as one bar, in the given order; the text beside it says the same."""
    bar = Element("svg", {"viewBox": "0 0 120 8", "class": "coverage-bar", "aria-hidden": "true"})
    start = 0.0
    for treatment, share in shares:
        svg.shape(bar, "rect", treatment, x=start, y=0, width=120 * share, height=8)
        start += 120 * share
    return bar


def _runs(band: CurveBand) -> list[list[int]]:
    """Return runs of evaluations that can be drawn: elsewhere a curve has a gap."""
    runs: list[list[int]] = [[]]
    for i, values in enumerate(zip(band.mean, band.low, band.high, strict=True)):
        if all(map(math.isfinite, values)) and (min(values) > 0 or not _is_loss(band)):
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _end(band: CurveBand) -> tuple[int, float]:
    last = _runs(band)[-1][-1]
    return band.steps[last], band.mean[last]


def _is_loss(band: CurveBand) -> bool:
    return band.quantity.endswith("loss")


def _height(value: float, band: CurveBand) -> float:
    """Return a value as it is drawn."""
    return math.log10(value) if _is_loss(band) else value


def _number(value: float, band: CurveBand) -> str:
    return f"{value:.3g}" if _is_loss(band) else f"{100 * value:.1f} %"


def _spoken(bands: Sequence[CurveBand]) -> str:
    ends = "; ".join(f"{band.initialiser} {_number(_end(band)[1], band)}" for band in bands)
    return (
        f"Mean {bands[0].quantity} against optimiser steps, with a band between the quartiles. "
        f"At the end: {ends}."
    )


def line_style(initialiser: str, index: int, reference: str) -> str:
    """Return classes that give the first 32 lines different pairs of colour and dash."""
    if initialiser == reference:
        return "reference"
    return f"c{index % COLOURS} d{(index + index // COLOURS) % DASHES}"


def _add_axes(plot: Element, x: svg.Span, y: svg.Span, band: CurveBand) -> None:
    unit = "" if _is_loss(band) else ", %"
    svg.label(plot, 4, y.end - 16, f"{band.quantity}{unit}", "axis-title")
    for tick in y.powers() if _is_loss(band) else y.ticks():
        at = y.at(tick)
        svg.shape(plot, "line", "grid", x1=x.start, x2=x.end, y1=at, y2=at)
        number = f"{10**tick:.3g}" if _is_loss(band) else f"{100 * tick:.4g}"
        svg.label(plot, x.start - 7, at + 4, number, "tick end")
    for tick in x.ticks():
        svg.label(plot, x.at(tick), y.start + 18, f"{tick:,.6g}", "tick middle")
    svg.label(plot, x.end, y.start + 36, "optimiser steps", "axis-title end")


def _add_series(
    plot: Element, x: svg.Span, y: svg.Span, band: CurveBand, *, label_y: float, style: str
) -> None:
    step, value = _end(band)
    says = f"{band.initialiser}: {_number(value, band)} at the end, mean of {band.n} trials"
    series = svg.group(plot, f"series {style}", says)
    series.set("tabindex", "0")
    series.set("role", "img")
    for run in _runs(band):
        upper = [(x.at(band.steps[i]), y.at(_height(band.high[i], band))) for i in run]
        lower = [(x.at(band.steps[i]), y.at(_height(band.low[i], band))) for i in reversed(run)]
        svg.path(series, "polygon", "band", upper + lower)
        line = [(x.at(band.steps[i]), y.at(_height(band.mean[i], band))) for i in run]
        svg.path(series, "polyline", "line", line)
    end = (x.at(step), y.at(_height(value, band)))
    label_x = x.end + 22
    svg.shape(series, "circle", "dot", cx=end[0], cy=end[1], r=2.4)
    svg.path(series, "polyline", "leader", [end, (label_x, label_y)])
    svg.shape(series, "line", "line", x1=label_x, x2=label_x + 24, y1=label_y, y2=label_y)
    svg.label(series, label_x + 30, label_y + 4, shortened(band.initialiser, 18), "name")


def _add_difference_axis(plot: Element, x: svg.Span, top: float, bottom: float, unit: str) -> None:
    svg.shape(plot, "line", "axis", x1=x.start, x2=x.end, y1=bottom, y2=bottom)
    svg.shape(plot, "line", "zero", x1=x.at(0), x2=x.at(0), y1=top - 6, y2=bottom)
    for tick in x.ticks():
        at = x.at(tick)
        svg.shape(plot, "line", "axis", x1=at, x2=at, y1=bottom, y2=bottom + 4)
        size = f"{abs(100 * tick if unit == 'fraction' else tick):,.4g}"
        sign = "" if size == "0" else "−" if tick < 0 else "+"
        svg.label(plot, at, bottom + 18, sign + size, "tick middle")


def _add_direction(plot: Element, zero: float, y: float, direction: str) -> None:
    left, right = ("worse", "better") if direction == "higher" else ("better", "worse")
    svg.label(plot, zero - 10, y, f"◂ {left}", "tick end")
    svg.label(plot, zero + 10, y, f"{right} ▸", "tick")


def _add_difference(
    plot: Element, x: svg.Span, comparison: Comparison, unit: str, y: float
) -> None:
    says = f"{comparison.initialiser}: {_numbers(comparison, unit)}, {comparison.verdict}"
    line = svg.group(plot, f"difference {comparison.verdict}", says)
    svg.label(line, x.start - 14, y + 4, shortened(comparison.initialiser, 18), "name end")
    if _finite(comparison.low) and _finite(comparison.high):
        low, high = x.at(comparison.low), x.at(comparison.high)
        svg.shape(line, "line", "interval", x1=low, x2=high, y1=y, y2=y)
    if _finite(comparison.difference):
        _add_marker(line, comparison.verdict, x.at(comparison.difference), y)


def _add_marker(line: Element, verdict: str, x: float, y: float) -> None:
    """Draw the sign of the verdict as in the table: a triangle, a full or an open circle."""
    if verdict in {"better", "worse"}:
        tip = -5.5 if verdict == "better" else 5.5
        corners = [(x, y + tip), (x - 5.5, y - 0.75 * tip), (x + 5.5, y - 0.75 * tip)]
        svg.path(line, "polygon", "marker", corners)
    else:
        svg.shape(line, "circle", "marker", cx=x, cy=y, r=4.5)


def _numbers(comparison: Comparison, unit: str) -> str:
    centre = formatting.difference(comparison.difference, unit)
    if not (_finite(comparison.low) and _finite(comparison.high)):
        return centre
    return f"{centre} {formatting.interval(comparison.low, comparison.high, unit, signed=True)}"


def _finite(x: float | None) -> TypeGuard[float]:
    return x is not None and math.isfinite(x)
