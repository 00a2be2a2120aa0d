"""Elastic transform: a random affine map, then every pixel displaced a little.

Definition and constants are those of the CIFAR-10 script of Hendrycks and Dietterich (2019).
"""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from scipy import ndimage

from initbench.data.corruptions.pixels import Bytes, Floats, to_bytes, unit
from initbench.data.corruptions.warp import SIDE, interpolate

_CORNERS = np.array([(26, 26), (26, 6), (6, 6)], dtype=np.float64)
"""The points (x, y) that fix the affine map by where they go."""


def elastic_transform(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` (n, 32, 32, 3; uint8, RGB) stretched, sheared and wobbled.

    Severity 1 has no wobble, though its random numbers are drawn. For a single image, random
    numbers are drawn in the order of the original; for several, each draw is made for all images
    at once.
    """
    strength, sigma, reach = (
        (0, 0, 2.56),
        (1.6, 6.4, 2.24),
        (2.56, 1.92, 1.92),
        (3.2, 1.28, 1.6),
        (3.2, 0.96, 0.96),
    )[severity - 1]
    moves = draws.uniform(-reach, reach, size=(len(images), 3, 2))
    x = _affine(unit(images), _CORNERS + moves)
    columns = _displacements(len(images), strength, sigma, draws)
    rows = _displacements(len(images), strength, sigma, draws)
    here = np.arange(SIDE)
    x = interpolate(x, rows + here[:, None], columns + here, "symmetric")
    return to_bytes(x.astype(np.float32))  # the precision of the original


def _affine(x: Floats, corners: Floats) -> Floats:
    """Return `x` after the affine maps that move `_CORNERS` to `corners` (n, 3, 2)."""
    ones = np.ones((len(x), 3, 1))
    # Each pixel asks where it comes from, so the map wanted is the one from `corners` back.
    back: Floats = np.linalg.solve(np.concatenate([corners, ones], axis=2), _CORNERS[None])
    column, row = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    here = np.stack([column, row, np.ones_like(row)], axis=-1).reshape(-1, 3)
    origin = (here @ back).reshape(-1, SIDE, SIDE, 2)
    return interpolate(x, origin[..., 1], origin[..., 0], "reflect")


def _displacements(count: int, strength: float, sigma: float, draws: RandomState) -> Floats:
    """Return `count` smooth random fields (count, 32, 32) of distances in pixels."""
    noise = draws.uniform(-1, 1, size=(count, SIDE, SIDE))
    smoothed: Floats = ndimage.gaussian_filter(
        noise, sigma, mode="reflect", truncate=3, axes=(1, 2)
    )
    return smoothed * strength
