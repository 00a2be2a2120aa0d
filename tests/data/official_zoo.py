"""Writers of MNIST, USPS, SVHN and STL-10 in their official formats, and what all four promise.

Nothing here uses a reader: the formats are written down a second time.
"""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import savemat

from initbench.data.dataset import ImageSplits
from initbench.data.splits import random_split

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]


def pixels(*shape: int, seed: int = 0) -> Bytes:
    """Random bytes: no two pixels may change places unseen."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def digits(count: int) -> Labels:
    """Labels 0..9 in an order that is no order."""
    return np.arange(count) * 7 % 10


def idx(values: Bytes) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def write_mnist(
    root: Path, stem: str, images: Bytes, labels: Labels, form: str = "{}-{}.gz"
) -> None:
    """`images` (images, height, width); `form` makes a file name of `train-images` and its kind."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for what, kind, values in (
        ("images", "idx3-ubyte", images),
        ("labels", "idx1-ubyte", labels.astype(np.uint8)),
    ):
        path = folder / form.format(f"{stem}-{what}", kind)
        content = idx(values)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def usps_line(values: NDArray[np.float64], label: int) -> str:
    """One image (256,) as a line: values in -1..1 from index 1, labels from 1."""
    pairs = " ".join(f"{i}:{value:g}" for i, value in enumerate(values, start=1))
    return f"{label + 1} {pairs} \n"


def write_usps(path: Path, values: NDArray[np.float64], labels: Labels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(map(usps_line, values, labels.tolist()))
    path.write_bytes(bz2.compress(text.encode()))


def write_svhn(path: Path, images: Bytes, labels: Labels) -> None:
    """`images` (images, height, width, channels); the digit 0 has the label 10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y = np.array([[label or 10] for label in labels.tolist()], np.uint8)
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": y}, do_compression=True)


def write_stl10(folder: Path, part: str, images: Bytes, labels: Labels) -> None:
    """`images` (images, height, width, channels); channel by channel, each column by column."""
    folder.mkdir(parents=True, exist_ok=True)
    channels = [image[:, :, channel] for image in images for channel in range(3)]
    (folder / f"{part}_X.bin").write_bytes(b"".join(c.tobytes(order="F") for c in channels))
    (folder / f"{part}_y.bin").write_bytes(bytes((labels + 1).tolist()))


def check_split(
    splits: ImageSplits,
    train: tuple[Bytes, Labels],
    test: tuple[Bytes, Labels],
    sizes: tuple[int, int, int],
) -> None:
    """The splits are the published draw from images (images, channels, height, width)."""
    images = torch.from_numpy(np.concatenate([train[0], test[0]]))
    labels = torch.from_numpy(np.concatenate([train[1], test[1]]))
    pool = len(train[1])
    ids = (*random_split(pool, sizes[:2]), torch.arange(pool, pool + len(test[1])))
    for (_, split), wanted, size in zip(splits.items(), ids, sizes, strict=True):
        assert len(split) == size
        assert torch.equal(split.ids, wanted)
        assert torch.equal(split.images, images[wanted])
        assert torch.equal(split.labels, labels[wanted])
        assert split.images.is_contiguous()
