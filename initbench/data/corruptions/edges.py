"""Edges of grey images (n, 32, 32) and distances to them, with the rules of OpenCV."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Edges = NDArray[np.bool_]

_TANGENT = 13573  # tan(22.5 degrees) in units of 2^-15

_UNIT = 1 << 16
_FAR = 1 << 29
_STRAIGHT = _UNIT
_DIAGONAL = round(1.4 * _UNIT)
_KNIGHT = round(2.1969 * _UNIT)

_NEIGHBOURS = (
    (-1, 0, _STRAIGHT),
    (-1, -1, _DIAGONAL),
    (-1, 1, _DIAGONAL),
    (-1, -2, _KNIGHT),
    (-1, 2, _KNIGHT),
    (-2, -1, _KNIGHT),
    (-2, 1, _KNIGHT),
)
"""Row, column and length of the steps to a pixel from those above it."""


def canny(levels: NDArray[np.uint8], low: int, high: int) -> Edges:
    """Return where `levels` (n, height, width) have edges, after Canny (1986).

    A pixel is a candidate where the gradient (3 x 3 Sobel, sum of magnitudes) is above `low` and
    largest across the edge; candidates count that touch, through others, one above `high`.
    """
    down, right = _sobel(levels, axis=1), _sobel(levels, axis=2)
    strength = abs(down) + abs(right)
    candidates = (strength > low) & _ridge(strength, down, right)
    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = True  # within an image, diagonals included
    parts, count = ndimage.label(candidates, touching)
    strong = np.zeros(count + 1, dtype=bool)
    strong[parts[candidates & (strength > high)]] = True
    kept: Edges = strong[parts]
    return kept


def _sobel(levels: NDArray[np.uint8], axis: int) -> NDArray[np.int64]:
    across = 3 - axis
    difference = ndimage.correlate1d(levels.astype(np.int64), [-1, 0, 1], axis, mode="nearest")
    gradient: NDArray[np.int64] = ndimage.correlate1d(difference, [1, 2, 1], across, mode="nearest")
    return gradient


def _ridge(strength: NDArray[np.int64], down: NDArray[np.int64], right: NDArray[np.int64]) -> Edges:
    """Return where `strength` is largest along the gradient, rounded to eight directions."""
    _, height, width = strength.shape
    padded = np.pad(strength, ((0, 0), (1, 1), (1, 1)))

    def beside(row: int, column: int) -> NDArray[np.int64]:
        return padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    steep, flat = abs(down) << 15, abs(right) * _TANGENT
    horizontal = steep < flat
    vertical = steep > flat + (abs(right) << 16)  # tan(67.5) = tan(22.5) + 2
    falling = (strength > beside(-1, -1)) & (strength > beside(1, 1))
    rising = (strength > beside(-1, 1)) & (strength > beside(1, -1))
    return np.where(
        horizontal,
        (strength > beside(0, -1)) & (strength >= beside(0, 1)),
        np.where(
            vertical,
            (strength > beside(-1, 0)) & (strength >= beside(1, 0)),
            np.where((down < 0) == (right < 0), falling, rising),
        ),
    )


def distance(edges: Edges) -> NDArray[np.float64]:
    """Return the distance of each pixel to the nearest edge, in pixels; 8192 without any edge.

    Paths are made of steps of length 1 (straight), 1.4 (diagonal) and 2.1969 (a knight's move),
    after Borgefors (1986), "Distance transformations in digital images".
    """
    reached = np.where(edges, 0, _FAR)
    _sweep(reached)
    _sweep(reached[:, ::-1, ::-1])
    return reached / _UNIT


def _sweep(reached: NDArray[np.int64]) -> None:
    """Shorten the distances `reached` (n, height, width) by paths from above and from the left."""
    _, height, width = reached.shape
    places = np.arange(width) * _STRAIGHT
    for row in range(height):
        line = reached[:, row]
        for up, aside, length in _NEIGHBOURS:
            if row + up >= 0:
                to = slice(max(0, -aside), width - max(0, aside))
                start = slice(max(0, aside), width + min(0, aside))
                np.minimum(line[:, to], reached[:, row + up, start] + length, out=line[:, to])
        # Steps to the right: the smallest of all pixels to the left, each plus its distance.
        line[:] = np.minimum.accumulate(line - places, axis=1) + places
