"""Natural images of 32 x 32 pixels: tiles of the photographs that come with scikit-learn."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from initbench.data.formats.cifar_pickle import read_batch


def tiles(count: int = 64) -> NDArray[np.uint8]:
    """The photographs at a third of their size, cut; `count` of all tiles (count, 32, 32, 3)."""
    parts = []
    for photograph in load_sample_images().images:
        small = photograph[::3, ::3]
        rows, columns = small.shape[0] // 32, small.shape[1] // 32
        grid = small[: 32 * rows, : 32 * columns].reshape(rows, 32, columns, 32, 3)
        parts.append(grid.transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3))
    every = np.concatenate(parts)
    return every[np.linspace(0, len(every) - 1, count).astype(int)]


def cifar10(count: int = 200) -> NDArray[np.uint8]:
    """Test images of CIFAR-10 (count, 32, 32, 3); skips the test where there are none."""
    root = os.environ.get("INITBENCH_DATA")
    if not root:
        pytest.skip("INITBENCH_DATA is not set")
    path = Path(root) / "cifar-10-batches-py" / "test_batch"
    if not path.is_file():
        pytest.skip("INITBENCH_DATA has no cifar-10-batches-py/test_batch")
    images, _ = read_batch(path, 10_000, 10)
    return images[:count].transpose(0, 2, 3, 1)


def mean_change(corrupted: NDArray[np.uint8], images: NDArray[np.uint8]) -> float:
    """The mean absolute difference in grey levels."""
    return float(np.abs(corrupted.astype(int) - images).mean())


def nearest(corrupted: NDArray[np.uint8], images: NDArray[np.uint8]) -> list[int]:
    """For each corrupted image the position of the image that it is most correlated with."""
    count = len(images)
    both = np.concatenate([corrupted, images]).reshape(2 * count, -1).astype(float)
    return np.corrcoef(both)[:count, count:].argmax(axis=1).tolist()
