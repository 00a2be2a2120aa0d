"""Architectures in the plane: principal components of their embeddings (Knyazev 2022, figure 4).

The embedding of an architecture is the mean of the states that its nodes have after the graph
network (Knyazev et al. 2021, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import torch
from torch import Tensor

from initbench_ghn import svg
from initbench_ghn.graph import Graph
from initbench_ghn.network import GHN

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760.0, 560.0, 60.0, 700.0, 60.0, 500.0
_APART = 13.0
_STYLE = (
    ".axis { stroke: #c3ccd4; stroke-width: 1 } .point { fill: #2b6cb0 }"
    " .left { text-anchor: end } .leader { stroke: #94a3b3; stroke-width: 0.7 }"
)


@dataclass(frozen=True)
class Components:
    """Places of architectures in the plane, and the shares of variance that it shows."""

    places: Tensor  # (architectures, 2)
    shares: tuple[float, float]


@torch.no_grad()
def embeddings(ghn: GHN, graphs: Sequence[Graph]) -> Tensor:
    """Return the mean state of each graph, (graphs, d)."""
    return torch.stack([states.mean(0) for states in ghn.embeddings(graphs)])


def components(points: Tensor) -> Components:
    """Return the first two principal components of at least three points.

    Signs are chosen such that the largest entry of each direction is positive.
    """
    centred = points.double() - points.double().mean(0)
    _, values, directions = torch.linalg.svd(centred, full_matrices=False)
    top = directions[:2]
    largest = top.gather(1, top.abs().argmax(1, keepdim=True))
    variance = values.square()
    first, second = (variance[:2] / variance.sum().clamp_min(1e-300)).tolist()
    return Components(centred @ (top * largest.sign()).T, (first, second))


def scatter(found: Components, labels: Sequence[str], title: str) -> Element:
    """Draw architectures as labelled points."""
    made = svg.drawing(_WIDTH, _HEIGHT, title, _STYLE)
    low, high = found.places.min(0).values, found.places.max(0).values
    unit = (found.places - low) / (high - low).clamp_min(1e-300)
    xs = (_LEFT + 20 + unit[:, 0] * (_RIGHT - _LEFT - 40)).tolist()
    ys = (_BOTTOM - 20 - unit[:, 1] * (_BOTTOM - _TOP - 40)).tolist()
    svg.shape(made, "line", "axis", x1=_LEFT, x2=_RIGHT, y1=_BOTTOM, y2=_BOTTOM)
    svg.shape(made, "line", "axis", x1=_LEFT, x2=_LEFT, y1=_TOP, y2=_BOTTOM)
    first, second = (f"{100 * share:.0f} % of the variance" for share in found.shares)
    svg.text(made, _LEFT, _BOTTOM + 24, f"→ first component, {first}", "faint")
    svg.text(made, 20, _TOP - 8, f"↑ second component, {second}", "faint")
    taken: list[tuple[float, float, float]] = []
    for x, y, label in sorted(zip(xs, ys, labels, strict=True), key=lambda point: point[1]):
        is_right = x < (_LEFT + _RIGHT) / 2
        width = 6.1 * len(label)
        start = x + 8 if is_right else x - 8 - width
        level = _free_level(taken, start, start + width, y + 4)
        taken.append((start, start + width, level))
        if level > y + 6:
            near = x + 6 if is_right else x - 6
            svg.shape(made, "line", "leader", x1=x, y1=y, x2=near, y2=level - 4)
        point = svg.shape(made, "circle", "point", cx=x, cy=y, r=4)
        svg.tooltip(point, label)
        svg.text(made, x + 8 if is_right else x - 8, level, label, "" if is_right else "left")
    return made


def _free_level(
    taken: Sequence[tuple[float, float, float]], start: float, end: float, wanted: float
) -> float:
    """Return the first level from `wanted` on at which a label hides no other."""
    level = wanted
    for left, right, other in sorted(taken, key=lambda box: box[2]):
        if left < end and start < right and abs(other - level) < _APART:
            level = other + _APART
    return level
