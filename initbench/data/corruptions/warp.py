"""Moving pixels: zooms, streaks, and pixels read at fractional positions."""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from initbench.data.corruptions.pixels import Bytes, Floats

Integers = NDArray[np.int64]
Pixel = TypeVar("Pixel", bound=np.generic)

SIDE = 32
"""Height and width of every image: the constants of CIFAR-10-C are made for it."""


@cache
def zoom_matrix(factor: float) -> Floats:
    """Return the matrix A (32, 32) that zooms into the centre of an image X: A X A^T.

    The central ceil(32 / `factor`) pixels are enlarged by `factor`, linearly and from end to end,
    and the result is cut to its 32 central pixels.
    """
    kept = int(np.ceil(SIDE / factor))
    top = (SIDE - kept) // 2
    # Columns of the unit matrix, zoomed, are the columns of A; so SciPy decides on its sizes.
    enlarged = ndimage.zoom(np.eye(SIDE)[top : top + kept], (factor, 1), order=1)
    trim = (len(enlarged) - SIDE) // 2
    matrix: Floats = enlarged[trim : trim + SIDE]
    return matrix


def streak(images: Bytes, radius: int, sigma: float, angles: Floats) -> Floats:
    """Return `images` (n, 32, 32, channels) blurred along a line, still in grey levels 0..255.

    A pixel becomes the weighted mean of the 2 `radius` + 1 pixels from itself onwards in the
    direction of its image (`angles`: n degrees, 0 to the right, 90 down); the weight of the i-th
    is proportional to exp(-i^2 / (2 `sigma`^2)). Distances are rounded to whole pixels, halves
    down, and edges are repeated. This is ImageMagick's motion blur within one grey level.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    down, right = np.sin(np.deg2rad(angles)), np.cos(np.deg2rad(angles))
    blurred = np.zeros(images.shape)
    for step, weight in zip(steps, weights, strict=True):
        rows = np.ceil(step * down - 0.5).astype(np.int64)
        columns = np.ceil(step * right - 0.5).astype(np.int64)
        blurred += weight * _ahead(images, rows, columns)
    return blurred


def _ahead(images: Bytes, rows: Integers, columns: Integers) -> Bytes:
    """Return for each pixel the one `rows` below and `columns` to the right (n each)."""
    places = np.arange(SIDE)
    row = (places + rows[:, None]).clip(0, SIDE - 1)
    column = (places + columns[:, None]).clip(0, SIDE - 1)
    return take(images, row[:, :, None], column[:, None, :])


def interpolate(
    images: Floats, rows: Floats, columns: Floats, border: Literal["reflect", "symmetric"]
) -> Floats:
    """Return `images` (n, 32, 32, channels) read linearly at `rows` and `columns` (n, 32, 32).

    Beyond the border they are mirrored, with the names of `numpy.pad`: `reflect` does not repeat
    the outermost pixel, `symmetric` does. Positions lie less than 32 pixels outside.
    """
    mirrored = np.pad(np.arange(SIDE), SIDE, mode=border)
    top, left = np.floor(rows), np.floor(columns)
    below, beyond = (rows - top)[..., None], (columns - left)[..., None]
    row = top.astype(np.int64) + SIDE
    column = left.astype(np.int64) + SIDE

    def line(row: Integers) -> Floats:
        first = take(images, mirrored[row], mirrored[column])
        second = take(images, mirrored[row], mirrored[column + 1])
        return first * (1 - beyond) + second * beyond

    return line(row) * (1 - below) + line(row + 1) * below


def take(images: NDArray[Pixel], rows: Integers, columns: Integers) -> NDArray[Pixel]:
    """Return from each image the pixels at `rows` and `columns` (broadcast to n, 32, 32)."""
    count, height, width, channels = images.shape
    image = np.arange(count)[:, None, None]
    # One index into all pixels: three times as fast as indexing with three arrays.
    pixel = (image * height + rows) * width + columns
    taken: NDArray[Pixel] = images.reshape(-1, channels).take(pixel, axis=0)
    return taken
