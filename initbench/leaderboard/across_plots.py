"""The plots of what holds across models and data sets: performance profiles and rank intervals."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from initbench.leaderboard import svg
from initbench.leaderboard.plots import ROW, WIDTH, line_style
from initbench.leaderboard.text import shortened
from initbench.results import Aggregate, Aggregates, best_ranks_first

_RIGHT = WIDTH - 182


def profiles(found: Aggregates, *, prefix: str) -> Element | None:
    """Plot the share of trials above each score, a line for each initialiser.

    Args:
        found: of one measure.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where the measure has no profiles.
    """
    drawable = [(i, line) for i, line in enumerate(found.lines) if line.profile]
    if not drawable:
        return None
    height = max(320, 18 * len(drawable) + 80)
    x = svg.Span.around(found.thresholds, 46, _RIGHT)
    y = svg.Span(0.0, 1.0, height - 46, 26)
    plot = svg.plot(
        WIDTH,
        height,
        title=f"{found.measure}: performance profiles",
        description="Share of trials above each score; higher lines are better.",
        prefix=prefix,
    )
    _add_axes(plot, x, y, found.reference)
    # Lines meet at both ends, so each is named where it crosses one half.
    at = [x.at(_crossing(found.thresholds, line.profile)) for _, line in drawable]
    order = sorted(range(len(drawable)), key=lambda i: -at[i])
    for place, k in enumerate(order):
        i, line = drawable[k]
        _add_profile(plot, x, y, found, line, line_style(line.initialiser, i, found.reference))
        label_y = y.end + 14 + 18 * place
        _add_key(plot, line.initialiser, line_style(line.initialiser, i, found.reference), label_y)
    return plot


def ranks(found: Aggregates, *, prefix: str) -> Element | None:
    """Plot the ranks that the data leave open, from the best to the worst.

    Args:
        found: of one measure.
        prefix: begins the identifiers inside the plot; unique on a page.

    Returns:
        The plot, or None where nothing was aggregated.
    """
    if not found.lines:
        return None
    lines = best_ranks_first(found.lines)
    top, bottom = 20.0, 20.0 + ROW * len(lines)
    x = svg.Span(1.0, float(max(len(lines), 2)), 160, WIDTH - 26)
    spoken = "; ".join(f"{n.initialiser} {n.best_rank} to {n.worst_rank}" for n in lines)
    title = f"{found.measure}: rank intervals over {len(found.blocks)} blocks"
    plot = svg.plot(WIDTH, bottom + 40, title=title, description=spoken, prefix=prefix)
    for tick in range(1, len(lines) + 1):
        svg.shape(plot, "line", "grid", x1=x.at(tick), x2=x.at(tick), y1=top - 6, y2=bottom)
        svg.label(plot, x.at(tick), bottom + 16, str(tick), "tick middle")
    svg.label(plot, x.end, bottom + 34, "rank", "axis-title end")
    for place, line in enumerate(lines):
        y = top + ROW * (place + 0.5)
        says = f"{line.initialiser}: ranks {line.best_rank} to {line.worst_rank} are open"
        drawn = svg.group(plot, "difference equivalent", says)
        svg.label(drawn, x.start - 14, y + 4, shortened(line.initialiser, 18), "name end")
        ends = x.at(line.best_rank), x.at(line.worst_rank)
        svg.shape(drawn, "line", "interval", x1=ends[0], x2=ends[1], y1=y, y2=y)
        for end in sorted(set(ends)):
            svg.shape(drawn, "circle", "marker", cx=end, cy=y, r=3.6)
    return plot


def _add_axes(plot: Element, x: svg.Span, y: svg.Span, reference: str) -> None:
    svg.label(plot, 4, y.end - 12, "trials above, %", "axis-title")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = y.at(tick)
        svg.shape(plot, "line", "grid", x1=x.start, x2=x.end, y1=at, y2=at)
        svg.label(plot, x.start - 7, at + 4, f"{100 * tick:.0f}", "tick end")
    for tick in x.ticks():
        sign = "−" if tick < 0 else ""
        svg.label(plot, x.at(tick), y.start + 18, f"{sign}{abs(tick):.4g}", "tick middle")
    of = f"score: deviations above the mean of {shortened(reference, 20)}"
    svg.label(plot, x.end, y.start + 36, of, "axis-title end")


def _add_profile(
    plot: Element, x: svg.Span, y: svg.Span, found: Aggregates, line: Aggregate, style: str
) -> None:
    places = [x.at(threshold) for threshold in found.thresholds]
    says = f"{line.initialiser}: {100 * _above_reference(found, line):.0f} % of trials above 0"
    series = svg.group(plot, f"series {style}", says)
    series.set("tabindex", "0")
    series.set("role", "img")
    if line.profile_low:
        upper = [(at, y.at(share)) for at, share in zip(places, line.profile_high, strict=True)]
        lower = [(at, y.at(share)) for at, share in zip(places, line.profile_low, strict=True)]
        svg.path(series, "polygon", "band", upper + lower[::-1])
    points = [(at, y.at(share)) for at, share in zip(places, line.profile, strict=True)]
    svg.path(series, "polyline", "line", points)


def _add_key(plot: Element, name: str, style: str, y: float) -> None:
    key = svg.group(plot, f"named {style}", name)
    svg.shape(key, "line", "line", x1=_RIGHT + 22, x2=_RIGHT + 46, y1=y, y2=y)
    svg.label(key, _RIGHT + 52, y + 4, shortened(name, 18), "name")


def _crossing(thresholds: Sequence[float], shares: Sequence[float]) -> float:
    """Return the first threshold that no more than half of the trials are above."""
    return next((t for t, share in zip(thresholds, shares, strict=True) if share <= 0.5), 0.0)


def _above_reference(found: Aggregates, line: Aggregate) -> float:
    """Return the share of trials above the mean of the reference."""
    nearest = min(range(len(found.thresholds)), key=lambda i: abs(found.thresholds[i]))
    return line.profile[nearest]
