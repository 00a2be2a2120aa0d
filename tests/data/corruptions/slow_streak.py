"""Blur along a line, slow and obvious: what motion blur and snow are compared with."""

from __future__ import annotations

from math import ceil, cos, exp, radians, sin

import numpy as np
from numpy.typing import NDArray


def slow_streak(
    image: NDArray[np.uint8], radius: int, sigma: float, angle: float
) -> NDArray[np.float64]:
    """Pixel by pixel, from the definition."""
    weights = [exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    result = np.zeros(image.shape)
    for row in range(32):
        for column in range(32):
            for i, weight in enumerate(weights):
                down = ceil(i * sin(radians(angle)) - 0.5)
                right = ceil(i * cos(radians(angle)) - 0.5)
                read = image[min(max(row + down, 0), 31), min(max(column + right, 0), 31)]
                result[row, column] += weight / sum(weights) * read
    return result
