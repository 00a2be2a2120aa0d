"""A graph as a drawing: from top to bottom, a row for each depth.

Nodes of a row are not connected. An edge to the next row is a line; one that skips rows runs down a
lane of its own at the right, so that shortcuts are seen as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from initbench_ghn import svg
from initbench_ghn.graph import Graph, Node

ROW, BOX, MARGIN, TOP = 32.0, 20.0, 20.0, 84.0
_CHARACTER, _GAP, _LANE, _LEGEND = 6.1, 14.0, 9.0, 92.0
_BEND = 10.0

_COLOURS = {
    "input": "#334155",
    "conv": "#2b6cb0",
    "sep_conv": "#0e7490",
    "dil_conv": "#4c51bf",
    "bias": "#64748b",
    "bn": "#2f855a",
    "ln": "#4d7c0f",
    "sum": "#c05621",
    "concat": "#a16207",
    "max_pool": "#805ad5",
    "avg_pool": "#9333ea",
    "glob_avg": "#6b46c1",
    "msa": "#c53030",
    "cse": "#d53f8c",
    "pos_enc": "#92400e",
}
_STYLE = "\n".join(
    [
        ".edge { fill: none; stroke: #8794a0; stroke-width: 1.2 }",
        ".node text { fill: #ffffff }",
        *(f".{name} rect, rect.{name} {{ fill: {colour} }}" for name, colour in _COLOURS.items()),
    ]
)


def picture(graph: Graph, title: str) -> Element:
    """Draw a graph."""
    rows: list[list[int]] = [[] for _ in range(max(graph.depths) + 1)]
    for node, depth in enumerate(graph.depths):
        rows[depth].append(node)
    width = max(map(len, map(_label, graph.nodes))) * _CHARACTER + 12
    widest = max(map(len, rows)) * (width + _GAP) - _GAP
    places = {
        node: (MARGIN + (widest - len(row) * (width + _GAP) + _GAP) / 2 + i * (width + _GAP), depth)
        for depth, row in enumerate(rows)
        for i, node in enumerate(row)
    }
    skipping = [(u, v) for u, v in graph.edges if places[v][1] - places[u][1] > 1]
    lanes = _lanes([(places[u][1], places[v][1]) for u, v in skipping])
    right = MARGIN + widest + _GAP
    whole = right + _LANE * (1 + max(lanes, default=0)) + MARGIN
    made = svg.drawing(
        max(whole, 2 * MARGIN + _LEGEND * len(graph.counts())),
        TOP + ROW * len(rows) + MARGIN,
        title,
        _STYLE,
    )
    _legend(made, graph)
    for u, v in sorted(set(graph.edges) - set(skipping)):
        (x1, row1), (x2, row2) = places[u], places[v]
        line = f"M{x1 + width / 2:.1f} {_y(row1) + BOX:.1f}L{x2 + width / 2:.1f} {_y(row2):.1f}"
        svg.shape(made, "path", "edge", d=line)
    for (u, v), lane in zip(skipping, lanes, strict=True):
        (x1, row1), (x2, row2) = places[u], places[v]
        start, end = (x1 + width, _y(row1) + BOX / 2), (x2 + width, _y(row2) + BOX / 2)
        svg.shape(made, "path", "edge", d=_detour(start, end, right + _LANE * lane))
    for node, (x, row) in places.items():
        _draw_node(made, graph.nodes[node], x, _y(row), width)
    return made


def _y(row: int) -> float:
    return TOP + ROW * row


def _detour(start: tuple[float, float], end: tuple[float, float], x: float) -> str:
    """Return a path from the right side of one box to that of another, down the lane at `x`."""
    (x1, y1), (x2, y2) = start, end
    return (
        f"M{x1:.1f} {y1:.1f}H{x - _BEND:.1f}Q{x:.1f} {y1:.1f} {x:.1f} {y1 + _BEND:.1f}"
        f"V{y2 - _BEND:.1f}Q{x:.1f} {y2:.1f} {x - _BEND:.1f} {y2:.1f}H{x2:.1f}"
    )


def _lanes(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return a lane for each span of rows; those of one lane do not overlap, short ones inside."""
    taken: list[list[tuple[int, int]]] = []
    found = [0] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i])):
        first, last = spans[i]
        free = (n for n, lane in enumerate(taken) if _is_free(lane, first, last))
        found[i] = next(free, len(taken))
        if found[i] == len(taken):
            taken.append([])
        taken[found[i]].append((first, last))
    return found


def _is_free(lane: Iterable[tuple[int, int]], first: int, last: int) -> bool:
    return all(end <= first or last <= begin for begin, end in lane)


def _legend(parent: Element, graph: Graph) -> None:
    for i, (name, count) in enumerate(graph.counts().items()):
        x = MARGIN + _LEGEND * i
        svg.shape(parent, "rect", name, x=x, y=44, width=10, height=10, rx=2)
        svg.text(parent, x + 14, 53, f"{name} {count}")


def _draw_node(parent: Element, node: Node, x: float, y: float, width: float) -> None:
    group = svg.shape(parent, "g", f"node {node.primitive}")
    names = " and ".join(name for name in (node.parameter, node.shift) if name)
    size = "" if node.shape is None else " x ".join(map(str, node.shape))
    svg.tooltip(group, "; ".join(filter(None, (node.primitive, names, size))))
    svg.shape(group, "rect", "", x=x, y=y, width=width, height=BOX, rx=4)
    svg.text(group, x + 6, y + 14, _label(node))


def _label(node: Node) -> str:
    size = "" if node.shape is None else "×".join(map(str, node.shape))
    name = (node.parameter or "").removesuffix(".weight")
    return "  ".join(filter(None, (node.primitive, name, size)))
