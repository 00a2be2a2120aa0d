"""Spatter: drops of water or splashes of mud.

Definition and constants are those of the CIFAR-10 script of Hendrycks and Dietterich (2019), which
shades the water by a chain of 8-bit image filters. They are written here after the behaviour of
OpenCV, for grey images (n, 32, 32).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

from initbench.data.corruptions.blur import smooth
from initbench.data.corruptions.edges import canny, distance
from initbench.data.corruptions.pixels import Bytes, Floats, to_bytes, unit
from initbench.data.corruptions.warp import SIDE

_Singles = NDArray[np.float32]

_WATER = np.array([175, 238, 238], dtype=np.float32) / 255
_MUD = np.array([63, 42, 20], dtype=np.float32) / 255


class _Spatter(NamedTuple):
    """How much liquid there is and where it shows."""

    mean: float
    deviation: float
    sigma: float
    threshold: float
    strength: float
    """Of water: its opacity. Of mud: the standard deviation of the blur of its edges."""


_SEVERITIES = (
    _Spatter(0.62, 0.1, 0.7, 0.7, 0.5),
    _Spatter(0.65, 0.1, 0.8, 0.7, 0.5),
    _Spatter(0.65, 0.3, 1.0, 0.69, 0.5),
    _Spatter(0.65, 0.1, 0.7, 0.69, 0.6),
    _Spatter(0.65, 0.1, 0.5, 0.68, 0.6),
)
_FIRST_OF_MUD = 4


def spatter(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` (n, 32, 32, 3; uint8, RGB) behind water (severities 1 to 3) or mud (4, 5).

    For a single image, random numbers are drawn as in the original; for several, all at once.
    """
    kind = _SEVERITIES[severity - 1]
    noise = draws.normal(kind.mean, kind.deviation, size=(len(images), SIDE, SIDE))
    liquid = smooth(noise, kind.sigma)
    liquid[liquid < kind.threshold] = 0
    x = unit(images).astype(np.float32)
    if severity < _FIRST_OF_MUD:
        cover = kind.strength * _water(liquid)[..., None]
        return to_bytes(x + cover * _WATER)
    cover = _mud(liquid > kind.threshold, kind.strength)[..., None]
    return to_bytes(x * (1 - cover) + cover * _MUD)


def _mud(splashes: NDArray[np.bool_], sigma: float) -> _Singles:
    """Return the opacity of mud: `splashes` blurred, and nothing where it would be thin."""
    opacity = smooth(splashes.astype(np.float64), sigma).astype(np.float32)
    opacity[opacity < np.float32(0.8)] = 0
    return opacity


def _water(liquid: Floats) -> _Singles:
    """Return the brightness of water, at most 1: embossed by the distance to its edges."""
    # A level above 255 is rare; the original lets it wrap round, which makes a dark spot.
    levels = (liquid * 255).astype(np.int64).astype(np.uint8)
    depth = np.minimum(distance(canny(levels, 50, 150)), 20)
    depth = _equalised(_mean(depth).astype(np.float32).astype(np.uint8))
    light = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    embossed = ndimage.correlate(depth.astype(np.int64), light[None], mode="mirror").clip(0, 255)
    shine: _Singles = np.rint(_mean(embossed)).astype(np.float32)
    brightness = levels * shine
    largest = brightness.max(axis=(1, 2), keepdims=True)
    largest[largest == 0] = 1  # no liquid above the threshold, or no light on it
    brightness /= largest
    return brightness


def _mean(x: NDArray[np.float64] | NDArray[np.int64]) -> Floats:
    """Return the means of 3 x 3 pixels."""
    total = ndimage.correlate(x, np.ones((1, 3, 3)), output=np.float64, mode="mirror")
    mean: Floats = total * (1 / 9)
    return mean


def _equalised(levels: Bytes) -> Bytes:
    """Return `levels` spread so that each image uses 0..255 evenly; a flat image stays."""
    count = len(levels)
    index = levels.reshape(count, -1) + 256 * np.arange(count)[:, None]
    histogram = np.bincount(index.ravel(), minlength=256 * count).reshape(count, 256)
    lowest = histogram[np.arange(count), (histogram > 0).argmax(axis=1)][:, None]
    rest = SIDE * SIDE - lowest
    scale = np.float32(255) / np.maximum(rest, 1).astype(np.float32)
    table = np.rint((histogram.cumsum(axis=1) - lowest).clip(0).astype(np.float32) * scale)
    table = np.where(rest == 0, np.arange(256), table).astype(np.uint8)
    spread: Bytes = table.ravel()[index].reshape(levels.shape)
    return spread
