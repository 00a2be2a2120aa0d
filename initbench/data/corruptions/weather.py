"""Weather: snow, frost, fog. (Spatter has a module of its own.)

Definitions and constants are those of the CIFAR-10 script of Hendrycks and Dietterich (2019),
"Benchmarking neural network robustness to common corruptions and perturbations".

Every function takes images (n, 32, 32, 3; uint8, RGB), a severity from 1 to 5 and a stream of
random numbers, and returns new images of the same shape and type. For a single image, random
numbers are drawn in the order of the original; for several, each draw is made for all images at
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState

from initbench.data.corruptions.frost_texture import frost_texture
from initbench.data.corruptions.pixels import Bytes, to_bytes, unit
from initbench.data.corruptions.plasma import plasma
from initbench.data.corruptions.warp import SIDE, streak, zoom_matrix
from initbench.errors import UserError

_PHOTOGRAPHS = 5
_REDUCTION = 5  # photographs are used at a fifth of their size


def fog(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` in fog: plasma is added, and the sum is scaled back to the old maximum."""
    strength, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    x = unit(images)
    largest = x.max(axis=(1, 2, 3), keepdims=True)
    clouds = plasma(len(images), decay, draws)[..., None]
    return to_bytes((x + strength * clouds) * largest / (largest + strength))


def frost(
    images: Bytes,
    severity: int,
    draws: RandomState,
    photographs: Sequence[Bytes] | None = None,
) -> Bytes:
    """Return `images` behind frosted glass.

    `photographs` (height, width, 3; uint8, RGB) are those of CIFAR-10-C in the order of their
    names, of which the first five are used; the original reads them as BGR and turns them round,
    so RGB is what it adds, too. Without them, `frost_texture` stands in.

    Raises UserError for fewer than five photographs, and for those that are no bytes of RGB or too
    small.
    """
    image_weight, frost_weight = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[
        severity - 1
    ]
    if photographs is None:
        layer = frost_texture(len(images), draws)
    else:
        layer = _crops(photographs, len(images), draws)
    levels = image_weight * images.astype(np.float64) + frost_weight * layer
    return levels.clip(0, 255).astype(np.uint8)


def _crops(photographs: Sequence[Bytes], count: int, draws: RandomState) -> Bytes:
    """Return `count` random crops (count, 32, 32, 3) of the reduced photographs."""
    reduced = _reduced(photographs)
    which = draws.randint(_PHOTOGRAPHS, size=count)
    sizes = np.array([photograph.shape[:2] for photograph in reduced])[which]
    top = draws.randint(0, sizes[:, 0] - SIDE)
    left = draws.randint(0, sizes[:, 1] - SIDE)
    crops = [
        reduced[photograph][row : row + SIDE, column : column + SIDE]
        for photograph, row, column in zip(which, top, left, strict=True)
    ]
    return np.stack(crops)


def _reduced(photographs: Sequence[Bytes]) -> list[Bytes]:
    """Return the photographs that are used, reduced.

    The original interpolates linearly, without smoothing, between pixel centres: at a fifth of the
    size these fall on the third pixel of each five, which is taken as it is.
    """
    if len(photographs) < _PHOTOGRAPHS:
        raise UserError(
            f"frost needs the first {_PHOTOGRAPHS} photographs of CIFAR-10-C, got "
            f"{len(photographs)}; give all of them or none"
        )
    smallest = _REDUCTION * (SIDE + 1)
    for number, photograph in enumerate(photographs[:_PHOTOGRAPHS], start=1):
        shape = photograph.shape
        if photograph.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
            raise UserError(
                f"photograph {number} of frost: expected RGB bytes (height, width, 3), got "
                f"{photograph.dtype} of shape {shape}; convert it to RGB"
            )
        if min(shape[:2]) < smallest:
            raise UserError(
                f"photograph {number} of frost: expected at least {smallest} x {smallest} pixels, "
                f"got {shape[0]} x {shape[1]}; use the original files at their full size"
            )
    middle = _REDUCTION // 2
    return [
        photograph[middle::_REDUCTION, middle::_REDUCTION]
        for photograph in photographs[:_PHOTOGRAPHS]
    ]


class _Snow(NamedTuple):
    """How much snow falls, how large its flakes are and how far they streak."""

    mean: float
    deviation: float
    zoom: float
    threshold: float
    radius: int
    sigma: float
    image_weight: float


_SNOW = (
    _Snow(0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    _Snow(0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    _Snow(0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    _Snow(0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    _Snow(0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)

_GREY = np.array([0.299, 0.587, 0.114])  # of red, green, blue (ITU-R BT.601)


def snow(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` in falling snow, on a paler ground.

    Snow is what of a zoomed noise map lies above a threshold, in 8 bits, blurred along a line 45
    degrees or less from the vertical; it is added twice, the second time turned by 180 degrees.
    """
    kind = _SNOW[severity - 1]
    zoom = zoom_matrix(kind.zoom)
    flakes = zoom @ draws.normal(kind.mean, kind.deviation, (len(images), SIDE, SIDE)) @ zoom.T
    flakes[flakes < kind.threshold] = 0
    angles = draws.uniform(-135, -45, size=len(images))
    streaks = streak(to_bytes(flakes)[..., None], kind.radius, kind.sigma, angles)
    layer = np.rint(streaks) / 255  # the original passes it on in 8 bits
    x = unit(images)
    pale = np.maximum(x, 1.5 * (x @ _GREY)[..., None] + 0.5)
    ground = kind.image_weight * x + (1 - kind.image_weight) * pale
    return to_bytes(ground + layer + layer[:, ::-1, ::-1])
