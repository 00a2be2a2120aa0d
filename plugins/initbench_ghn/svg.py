"""SVG from small parts. ElementTree escapes every text; nothing is loaded from anywhere."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from initbench.api import UserError

_STYLE = """
text { font: 11px system-ui, sans-serif; fill: #1c2733 }
.title { font-size: 15px; font-weight: 600 }
.ground { fill: #ffffff }
.faint { fill: #66727f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf0 } .ground { fill: #14191f } .faint { fill: #94a1ad }
}
"""


def drawing(width: float, height: float, title: str, style: str = "") -> Element:
    """Return an empty drawing with a title, on a ground, in light and dark."""
    size = {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 0 {width:g} {height:g}"}
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    SubElement(svg, "title").text = printable(title)
    SubElement(svg, "style").text = _STYLE + style
    shape(svg, "rect", "ground", width=width, height=height)
    text(svg, 20, 28, title, "title")
    return svg


def shape(parent: Element, tag: str, classes: str, **attributes: float | str) -> Element:
    """Add a shape; numbers are written with one digit after the point."""
    written = {
        name: value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
        for name, value in attributes.items()
    }
    return SubElement(parent, tag, {"class": classes, **written})


def text(parent: Element, x: float, y: float, content: str, classes: str = "") -> Element:
    """Add a line of text whose baseline is at `y`."""
    made = shape(parent, "text", classes, x=x, y=y)
    made.text = printable(content)
    return made


def tooltip(parent: Element, content: str) -> None:
    """Say more about an element, where a pointer rests on it."""
    SubElement(parent, "title").text = printable(content)


def printable(content: str) -> str:
    """Return a text without what XML cannot hold."""
    return "".join(x if x.isprintable() else "\N{REPLACEMENT CHARACTER}" for x in content)


def save(svg: Element, path: Path) -> None:
    """Write a drawing; raise UserError if that fails."""
    try:
        path.write_text(ElementTree.tostring(svg, encoding="unicode") + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write `{path}`: {error.strerror or error}") from error
