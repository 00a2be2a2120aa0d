"""The golden vectors: four images and what the original script makes of them (golden/README.md)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

_FILE = Path(__file__).parent / "golden" / "corrupted_32x32.npz"


@cache
def _array(name: str) -> NDArray[np.uint8]:
    with np.load(_FILE, allow_pickle=False) as arrays:
        array = arrays[name]
    array.flags.writeable = False  # shared by all tests
    return array


def images() -> NDArray[np.uint8]:
    """The four images (4, 32, 32, 3)."""
    return _array("images")


def deterministic(name: str) -> NDArray[np.uint8]:
    """What a corruption that draws nothing makes of them (5 severities, 4 images, 32, 32, 3)."""
    return _array(name)


def seeded(name: str) -> NDArray[np.uint8]:
    """What a corruption makes of them that draws from `draws` (5, 4, 32, 32, 3)."""
    return _array(f"seeded_{name}")


def draws(severity: int, index: int) -> RandomState:
    """The stream with which image `index` of `seeded` was corrupted."""
    return RandomState(1000 + 10 * severity + index)
