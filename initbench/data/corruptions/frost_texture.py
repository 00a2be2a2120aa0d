"""Frost without photographs: a texture of bright veins, drawn from waves.

CIFAR-10-C adds crops of photographs that cannot be shipped. This stands in for them and is a design
of its own: results with it say that they do not use the photographs.
"""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from initbench.data.corruptions.pixels import Bytes, Floats, to_bytes
from initbench.data.corruptions.warp import SIDE

_SCALES = ((24.0, 0.4), (12.0, 0.35), (6.0, 0.25))
"""Wavelengths in pixels, and how much of the brightness of the veins comes from each."""

_WAVES = 6  # a wavelength
_SPREAD = 0.5  # of their directions around that of the crystal, in radians
_VEIN = 0.3  # width of a vein, in standard deviations of the sum of waves

_DARK, _BRIGHT = 0.2, 1.35  # brightness between the veins, and added where all veins meet
_TINT = np.array([0.92, 0.98, 1.0])  # ice is a little blue


def frost_texture(count: int, draws: RandomState) -> Bytes:
    """Return `count` textures (count, 32, 32, 3; RGB) of frost.

    A crystal has a direction. At each of three scales, plane waves near that direction are added,
    and where the sum crosses zero there is a vein: exp(-|sum| / width). Over many textures the
    grey levels have mean 121 and standard deviation 50.
    """
    direction = draws.uniform(0, np.pi, size=(count, 1))
    veins = np.zeros((count, SIDE, SIDE))
    for wavelength, share in _SCALES:
        waves = _waves(wavelength, direction, draws)
        veins += share * np.exp(-abs(waves) / _VEIN)
    return to_bytes((_DARK + _BRIGHT * veins)[..., None] * _TINT)


def _waves(wavelength: float, direction: Floats, draws: RandomState) -> Floats:
    """Return sums (n, 32, 32) of plane waves around `direction` (n, 1), of variance 1."""
    shape = (len(direction), _WAVES)
    angle = direction + draws.normal(0, _SPREAD, size=shape)
    phase = draws.uniform(0, 2 * np.pi, size=shape)
    places = 2 * np.pi / wavelength * np.arange(SIDE)
    down = np.sin(angle)[..., None] * places
    right = np.cos(angle)[..., None] * places + phase[..., None]
    # cos(a + b) = cos a cos b - sin a sin b, so the sum of waves is a product of small matrices.
    total: Floats = np.cos(down).transpose(0, 2, 1) @ np.cos(right)
    total -= np.sin(down).transpose(0, 2, 1) @ np.sin(right)
    total /= np.sqrt(_WAVES / 2)
    return total
