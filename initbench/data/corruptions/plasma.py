"""Plasma: the cloudy random texture of fog, made by diamond-square midpoint displacement."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from initbench.data.corruptions.pixels import Floats
from initbench.data.corruptions.warp import SIDE


def plasma(count: int, decay: float, draws: RandomState) -> Floats:
    """Return `count` textures (count, 32, 32) between 0 and 1 that continue across the border.

    Starts from one corner of height zero. With steps of 32, 16, 8, 4, 2 pixels, the centres of the
    squares become the mean of their four corners, and then the midpoints of the edges the mean of
    their four neighbours, each plus noise. The amplitude of the noise is 100 at first and divided
    by `decay` after each step; it enters squared, as in the code of CIFAR-10-C.
    """
    heights = np.zeros((count, SIDE, SIDE))
    amplitude = 100.0
    step = SIDE
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        centres = heights[:, half::step, half::step]
        across = heights[:, ::step, half::step]
        along = heights[:, half::step, ::step]

        rows = corners + np.roll(corners, -1, axis=1)
        centres[:] = _displaced(rows + np.roll(rows, -1, axis=2), amplitude, draws)

        above_and_below = centres + np.roll(centres, 1, axis=1)
        left_and_right = corners + np.roll(corners, -1, axis=2)
        across[:] = _displaced(above_and_below + left_and_right, amplitude, draws)

        left_and_right = centres + np.roll(centres, 1, axis=2)
        above_and_below = corners + np.roll(corners, -1, axis=1)
        along[:] = _displaced(left_and_right + above_and_below, amplitude, draws)

        amplitude /= decay
        step = half
    heights -= heights.min(axis=(1, 2), keepdims=True)
    heights /= heights.max(axis=(1, 2), keepdims=True)
    return heights


def _displaced(sum_of_four: Floats, amplitude: float, draws: RandomState) -> Floats:
    noise = draws.uniform(-amplitude, amplitude, size=sum_of_four.shape)
    return sum_of_four / 4 + amplitude * noise
