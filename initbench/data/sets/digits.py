"""Digits: the embedded data set, there after every installation without a download.

1,797 real handwritten digits of 8x8 pixels that scikit-learn ships: the test part of "Optical
Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
1998, https://doi.org/10.24432/C50P49), which UCI publishes under CC BY 4.0.

It has no official split. Ours takes 30 images of each digit for testing and 30 for validation, so
chance is exactly one in ten. The 13 writers are not named in the file, so the splits share writers:
accuracies say how well initialisers do against each other, not how well one reads a new hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.dataset import DataSet, ImageSplits, Split, SplitName
from initbench.plugin.initialiser import Citation, Config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLIT_SEED = 42
HELD_OUT = 30  # images of each digit in the validation split, and again in the test split

FINGERPRINT = "6140b2fc2e37a1346f3721a41151de09bfb85bcce515173617c69370419ec266"

# Of the training pixels, each divided by 255.
MEAN = 0.30586
STD = 0.37604


class Digits(DataSet[Config]):
    """scikit-learn's handwritten digits in a fixed split of 1,197 / 300 / 300 images."""

    name = "digits"
    summary = "1,797 real handwritten digits of 8x8 pixels, shipped with scikit-learn"
    citation = Citation(
        "E. Alpaydin and C. Kaynak: Optical Recognition of Handwritten Digits. "
        "UCI Machine Learning Repository, 1998.",
        "https://doi.org/10.24432/C50P49",
    )
    licence = "CC BY 4.0"
    classes = 10
    channels = 1
    native_size = 8
    version = "1"

    def pinned_fingerprint(self) -> str | None:
        """Return the digest of the splits, the same with every version of scikit-learn."""
        return FINGERPRINT

    def split_sizes(self) -> Mapping[SplitName, int]:
        return {"train": 1797 - 20 * HELD_OUT, "validation": 10 * HELD_OUT, "test": 10 * HELD_OUT}

    def load(self, root: Path | None) -> ImageSplits:
        """Read the digits out of the scikit-learn package; `root` is not needed."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        digits = load_digits()
        levels = digits.images.astype(np.int64)  # 0..16: how many of 4x4 scanned dots were inked
        pixels = ((levels * 255 + 8) // 16).astype(np.uint8)[:, None]  # rounded; (1797, 1, 8, 8)
        labels = digits.target.astype(np.int64)

        def split(ids: NDArray[np.int64]) -> Split:
            return Split(*(torch.from_numpy(x) for x in (pixels[ids], labels[ids], ids)))

        train, validation, test = (split(ids) for ids in _split_ids(labels))
        return ImageSplits(train, validation, test, self.classes, (MEAN,), (STD,))


def _split_ids(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the ids of the training, validation and test images, each in the order of the file.

    The draw sorts by SHA-256 rather than with a library's generator, so that it stays the same on
    every platform and with every version.
    """
    import numpy as np

    parts: list[list[int]] = [[], [], []]
    for digit in range(10):
        drawn = sorted(np.flatnonzero(labels == digit).tolist(), key=_draw)
        parts[0] += drawn[2 * HELD_OUT :]
        parts[1] += drawn[HELD_OUT : 2 * HELD_OUT]
        parts[2] += drawn[:HELD_OUT]
    return [np.array(sorted(ids), dtype=np.int64) for ids in parts]


def _draw(image: int) -> bytes:
    return hashlib.sha256(f"initbench/digits/{SPLIT_SEED}/{image}".encode()).digest()
