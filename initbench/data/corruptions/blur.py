"""Blurs: Gaussian, defocus, frosted glass, motion, zoom.

Definitions and constants are those of the CIFAR-10 script of Hendrycks and Dietterich (2019),
"Benchmarking neural network robustness to common corruptions and perturbations".

Every function takes images (n, 32, 32, 3; uint8, RGB), a severity from 1 to 5 and a stream of
random numbers, and returns new images of the same shape and type. For a single image, random
numbers are drawn in the order of the original; for several, each draw is made for all images at
once.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage, sparse

from initbench.data.corruptions.pixels import Bytes, Floats, to_bytes, unit
from initbench.data.corruptions.warp import SIDE, streak, take, zoom_matrix


def gaussian_blur(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` blurred by a Gaussian; nothing is drawn."""
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    return to_bytes(smooth(unit(images), sigma))


def smooth(x: Floats, sigma: float) -> Floats:
    """Return `x` (n, height, width, ...) after a Gaussian cut at 4 `sigma`, edges repeated."""
    smoothed: Floats = ndimage.gaussian_filter(x, sigma, mode="nearest", truncate=4, axes=(1, 2))
    return smoothed


def defocus_blur(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` as seen through an unfocused lens, a smoothed disk; nothing is drawn."""
    radius, smoothing = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[severity - 1]
    kernel = _disk(radius, smoothing)[None, :, :, None]
    return to_bytes(ndimage.correlate(unit(images), kernel, mode="mirror"))


def _disk(radius: float, smoothing: float) -> NDArray[np.float32]:
    """Return a disk of sum 1 after a Gaussian of 3 x 3 pixels; radii below 1 are one pixel.

    In single precision, like the original: its last bit decides between two grey levels where an
    image is flat.
    """
    reach = int(radius) + 1  # the Gaussian adds one pixel on each side
    offset = np.arange(-reach, reach + 1)
    disk = (offset**2 + offset[:, None] ** 2 <= radius**2).astype(np.float32)
    disk /= disk.sum()
    side = np.exp(-1 / (2 * smoothing**2))
    weights = (np.array([side, 1, side]) / (1 + 2 * side)).astype(np.float32)
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk, weights, axis=axis, mode="constant")
    return disk


def glass_blur(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` as seen through frosted glass: pixels are shuffled between two blurs."""
    sigma, passes = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[severity - 1]
    shuffled = to_bytes(smooth(unit(images), sigma))
    for _ in range(passes):
        shuffled = _shuffle(shuffled, draws)
    return to_bytes(smooth(unit(shuffled), sigma))


def _shuffle(images: Bytes, draws: RandomState) -> Bytes:
    """Return `images` with every pixel replaced by itself or a neighbour above or to the left.

    The original means to exchange two pixels, but only the first takes the value of the other.
    It walks from the lower right to the upper left, and the neighbour is never further right or
    down, so no pixel that was replaced is read again and all can be replaced at once. The two
    first rows and columns stay.
    """
    places = np.arange(SIDE - 1, 1, -1)
    shifts = draws.randint(-1, 1, size=(len(images), len(places), len(places), 2))
    rows = places[:, None] + shifts[..., 1]
    columns = places + shifts[..., 0]
    result = images.copy()
    result[:, 2:, 2:] = take(images, rows, columns)[:, ::-1, ::-1]
    return result


def motion_blur(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` blurred along a line, at most 45 degrees from the horizontal.

    Grey levels are rounded to the nearest and not cut, as ImageMagick did for the original.
    """
    radius, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity - 1]
    angles = draws.uniform(-45, 45, size=len(images))
    return np.rint(streak(images, radius, sigma, angles)).astype(np.uint8)


def zoom_blur(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return the mean of `images` and of zooms into their centres; nothing is drawn."""
    pixels_first = unit(images).transpose(1, 2, 0, 3)
    blurred = _zooms(severity) @ pixels_first.reshape(SIDE * SIDE, -1)
    result = blurred.reshape(pixels_first.shape).transpose(2, 0, 1, 3)
    return to_bytes(result.astype(np.float32))  # the precision of the original


@cache
def _zooms(severity: int) -> sparse.csr_array:
    """Return zoom blur as a matrix (1024, 1024) of pixels; few of its entries are not zero."""
    stop = (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1]
    # As the original computes them: rounding makes the first two lists one entry longer, and the
    # factors are not the decimals that they look like.
    factors = np.arange(1, stop, 0.01)
    total = sparse.eye_array(SIDE * SIDE)
    for factor in factors:
        zoom = sparse.coo_array(zoom_matrix(factor))
        total = total + sparse.kron(zoom, zoom)
    return sparse.csr_array(total / (len(factors) + 1))
