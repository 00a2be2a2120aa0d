"""Writers of PCam's two sources in their official formats."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEGATIVE, POSITIVE = 24, 16
PATCHES = NEGATIVE + POSITIVE
NAMES = [hashlib.sha1(str(i).encode()).hexdigest() for i in range(PATCHES)]
LABELS = [int(i % 5 < 2) for i in range(PATCHES)]  # 2 of 5 are positive
H5_SIZES = {"train": 12, "valid": 8, "test": 10}


def pixels(patches: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random bytes (patches, 96, 96, 3): no two pixels may change places unseen."""
    return np.random.default_rng(seed).integers(0, 256, (patches, 96, 96, 3), dtype=np.uint8)


def table(names: list[str], labels: list[int], end: str = "\n") -> str:
    rows = [f"{name},{label}" for name, label in zip(names, labels, strict=True)]
    return end.join(["id,label", *rows, ""])


def write_kaggle(root: Path) -> dict[str, NDArray[np.uint8]]:
    """Write the competition's table and folder; return each patch by its name."""
    folder = root / "histopathologic-cancer-detection"
    (folder / "train").mkdir(parents=True)
    (folder / "train_labels.csv").write_text(table(NAMES, LABELS))
    patches = dict(zip(NAMES, pixels(PATCHES), strict=True))
    for name, patch in patches.items():
        Image.fromarray(patch).save(folder / "train" / f"{name}.tif")
    return patches


def write_h5(path: Path, key: str, values: NDArray[Any], **layout: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=values, **layout)


def write_official(root: Path, **layout: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Write the six HDF5 files; return all patches and labels, in the order train, valid, test."""
    (root / "pcam").mkdir(parents=True)
    patches = pixels(sum(H5_SIZES.values()))
    labels = (np.arange(len(patches)) % 2).astype(np.uint8)
    start = 0
    for split, size in H5_SIZES.items():
        part = slice(start, start + size)
        stem = f"camelyonpatch_level_2_split_{split}"
        write_h5(root / "pcam" / f"{stem}_x.h5", "x", patches[part], **layout)
        write_h5(root / "pcam" / f"{stem}_y.h5", "y", labels[part].reshape(-1, 1, 1, 1))
        start += size
    return patches, labels
