"""Pixels: from bytes to the numbers that corruptions compute with, and back.

Corruptions are defined on images in [0, 1] in double precision and truncate their results, so a
last bit can move a pixel by one level: float32 would give other images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
"""Images as stored: (images, height, width, 3), RGB, channels last."""

Floats: TypeAlias = NDArray[np.float64]
"""Images, channels or fields as numbers; a pixel value is between 0 and 1."""

_CHUNK = 16  # images at a time: their numbers (400 kB at 32 x 32) stay in the cache of a core


def unit(images: Bytes) -> Floats:
    """Return `images` as numbers between 0 and 1."""
    return images / np.float64(255)


def to_bytes(x: Floats) -> Bytes:
    """Return numbers as bytes: clipped to [0, 1], times 255, truncated like the published files."""
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def transformed(images: Bytes, change: Callable[[Floats], Floats]) -> Bytes:
    """Return what `change` makes of `images`, as bytes.

    `change` gets the images as numbers, in order and a few at a time, so it must treat each by
    itself; random numbers that it draws in the order of the values are then the same for any chunk.
    """
    result = np.empty_like(images, order="C")
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        result[chunk] = to_bytes(change(unit(images[chunk])))
    return result


def rgb_to_hsv(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hue, saturation and value, each between 0 and 1, of colours (..., 3).

    A grey has hue 0 and saturation 0 (A. R. Smith: Color gamut transform pairs. SIGGRAPH 1978).
    """
    red, green, blue = np.ascontiguousarray(np.moveaxis(rgb, -1, 0))
    value = np.maximum(np.maximum(red, green), blue)
    range_ = value - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(range_ == 0, 1, range_)
    sixths = np.where(
        blue == value,
        4 + (red - green) / divisor,
        np.where(green == value, 2 + (blue - red) / divisor, (green - blue) / divisor),
    )
    hue = np.where(range_ == 0, 0, sixths / 6)
    hue += hue < 0
    saturation = range_ / np.where(value == 0, 1, value)
    return hue, saturation, value


def hsv_to_rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """Return the colours (..., 3) that have this hue, saturation and value."""
    sixths = hue * 6
    whole = np.floor(sixths)
    part = sixths - whole
    sector = whole.astype(np.uint8)  # 6 is 0 again
    odd = sector % 2 == 1
    low = value * (1 - saturation)
    between = value * (1 - np.where(odd, part, 1 - part) * saturation)

    def channel(turn: int) -> Floats:
        """Red, a third of the circle after blue and before green, is at its peak at hue 0."""
        turned = (sector + turn) % 6
        peak = (turned == 0) | (turned == 5)
        trough = (turned == 2) | (turned == 3)
        return np.where(peak, value, np.where(trough, low, between))

    return np.stack((channel(0), channel(4), channel(2)), axis=-1)
