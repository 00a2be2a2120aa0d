"""SVG from small parts: a frame with round ticks, and elements whose text is always escaped.

Elements are built with ElementTree, which escapes every text and attribute. Colours, dashes and
dark mode live in `static/plots.css`, which the page includes once and a standalone file carries
within itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from initbench.leaderboard.text import visible

Point = tuple[float, float]


@dataclass(frozen=True)
class Span:
    """Values from `low` to `high`, drawn from `start` to `end` in units of the view box."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> Span:
        """Return the span that holds all finite values; at least one must be finite."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite), max(finite)
        if low == high:
            pad = abs(low) / 2 or 1.0
            low, high = low - pad, high + pad
        return cls(low, high, start, end)

    def at(self, value: float) -> float:
        """Return where `value` is drawn."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round numbers within the span: 1, 2 or 5 times a power of ten apart."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]

    def powers(self) -> list[float]:
        """Return ticks where values are logarithms: at powers of ten, or at 1, 2 and 5 of each."""
        first, last = math.floor(self.low), math.ceil(self.high)
        inside = [p for p in range(first, last + 1) if self.low <= p <= self.high]
        if len(inside) > 2:
            return [float(p) for p in inside[:: math.ceil(len(inside) / 6)]]
        fine = [p + math.log10(m) for p in range(first, last + 1) for m in (1, 2, 5)]
        round_numbers = [tick for tick in fine if self.low <= tick <= self.high]
        return round_numbers if len(round_numbers) > 1 else self.ticks()


def spread(wanted: Sequence[float], low: float, high: float, gap: float) -> list[float]:
    """Move positions apart until neighbours have `gap` between them, keeping their order.

    Positions stay at or below `high`, and at or above `low` as long as there is room for all.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(wanted[i], placed[-1] + gap if placed else low))
    limit = high
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], limit)
        limit = placed[place] - gap
    result = [0.0] * len(wanted)
    for place, i in enumerate(order):
        result[i] = placed[place]
    return result


def plot(
    width: float,
    height: float,
    *,
    title: str,
    description: str,
    prefix: str,
    dense: bool = False,
) -> Element:
    """Return an empty plot that screen readers announce by its title and description.

    `prefix` begins the identifiers inside the plot and must be unique on a page. A `dense` plot
    is not made smaller than can be read: on a small screen it is scrolled instead.
    """
    svg = Element(
        "svg",
        {
            "viewBox": f"0 0 {width:g} {height:g}",
            "class": "plot dense" if dense else "plot",
            "role": "group",
            "aria-labelledby": f"{prefix}-title",
            "aria-describedby": f"{prefix}-description",
        },
    )
    SubElement(svg, "title", {"id": f"{prefix}-title"}).text = visible(title)
    SubElement(svg, "desc", {"id": f"{prefix}-description"}).text = visible(description)
    return svg


def group(parent: Element, classes: str, tooltip: str) -> Element:
    """Add a group with a tooltip, which is also its name for screen readers."""
    made = SubElement(parent, "g", {"class": classes})
    SubElement(made, "title").text = visible(tooltip)
    return made


def shape(parent: Element, tag: str, classes: str, **attributes: float) -> None:
    """Add a shape with its numeric attributes."""
    written = {name: _coordinate(value) for name, value in attributes.items()}
    SubElement(parent, tag, {"class": classes, **written})


def path(parent: Element, tag: str, classes: str, points: Sequence[Point]) -> None:
    """Add a `polyline` or `polygon`."""
    written = " ".join(f"{_coordinate(x)},{_coordinate(y)}" for x, y in points)
    SubElement(parent, tag, {"class": classes, "points": written})


def label(parent: Element, x: float, y: float, text: str, classes: str) -> None:
    """Add a line of text whose baseline is at `y`."""
    position = {"class": classes, "x": _coordinate(x), "y": _coordinate(y)}
    SubElement(parent, "text", position).text = visible(text)


def markup(svg: Element) -> str:
    """Return a plot as text for inclusion in a page whose style sheet has `plots.css`."""
    return ElementTree.tostring(svg, encoding="unicode")


def standalone(svg: Element) -> str:
    """Return a plot as a file of its own, with its style sheet and a background."""
    file = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **svg.attrib})
    SubElement(file, "style").text = style_sheet()
    shape(file, "rect", "ground", width=1e4, height=1e4)
    file.extend(svg)
    return markup(file) + "\n"


def style_sheet() -> str:
    """Return the style sheet of all plots."""
    return (resources.files("initbench.leaderboard") / "static" / "plots.css").read_text("utf-8")


def _coordinate(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
