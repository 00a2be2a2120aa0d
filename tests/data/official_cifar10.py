"""Writers of CIFAR-10's batches as they are published, without `pickle`: opcode by opcode."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def string(value: bytes) -> bytes:
    """A string of Python 2."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + len(value).to_bytes(4, "little") + value


def integer(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    return b"J" + value.to_bytes(4, "little", signed=True)


def array(
    shape: tuple[int, int], raw: bytes, dtype: bytes = b"u1", *, fortran: bool = False
) -> bytes:
    """An array as NumPy pickled it for Python 2."""
    return b"".join(
        (
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy\nndarray\n" + integer(0) + b"\x85" + string(b"b") + b"\x87R",
            b"(" + integer(1) + integer(shape[0]) + integer(shape[1]) + b"\x86",
            b"cnumpy\ndtype\n" + string(dtype) + integer(0) + integer(1) + b"\x87R",
            b"(" + integer(3) + string(b"|") + b"NNN" + integer(-1) * 2 + integer(0) + b"tb",
            (b"\x88" if fortran else b"\x89") + string(raw) + b"tb",
        )
    )


def labels_list(labels: Iterable[int]) -> bytes:
    return b"](" + b"".join(map(integer, labels)) + b"e"


def dictionary(**entries: bytes) -> bytes:
    items = b"".join(string(key.encode()) + value for key, value in entries.items())
    return b"\x80\x02}(" + items + b"u."


def batch(images: NDArray[np.uint8], labels: Iterable[int], *, fortran: bool = False) -> bytes:
    """A file of `images` (images, 3, 32, 32)."""
    rows = images.reshape(len(images), -1)
    raw = rows.tobytes("F" if fortran else "C")
    names = b"](" + b"".join(string(b"image_%d.png" % i) for i in range(len(rows))) + b"e"
    return dictionary(
        data=array((len(rows), 3072), raw, fortran=fortran),
        labels=labels_list(labels),
        batch_label=string(b"a batch"),
        filenames=names,
    )


def pixels(images: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random bytes: no two pixels may change places unseen."""
    return np.random.default_rng(seed).integers(0, 256, (images, 3, 32, 32), dtype=np.uint8)


def write_cifar10(root: Path, images_per_file: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Write the six files below `root`; return all images and labels, those of the test last."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = pixels(6 * images_per_file)
    labels = np.random.default_rng(1).permutation(np.arange(len(images)) % 10)
    for i, name in enumerate(NAMES):
        part = slice(i * images_per_file, (i + 1) * images_per_file)
        (folder / name).write_bytes(batch(images[part], labels[part].tolist()))
    return images, labels
