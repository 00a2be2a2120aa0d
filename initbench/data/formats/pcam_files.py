"""PCam's two sources: the folder of the Kaggle competition and the official HDF5 files.

Both give labelled patches of 96x96 pixels. Labels are read at once, pixels only of the patches
that are asked for.
"""

from __future__ import annotations

import csv
import io
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.formats.refusal import refusal
from initbench.errors import UserError

if TYPE_CHECKING:
    import h5py
    import numpy as np
    import torch
    from numpy.typing import NDArray

SIDE = 96
CLASSES = 2

_AT_ONCE = 256  # patches: 7 MB at full size
_MOST_BYTES = 2**20  # of an image file, whose pixels take 27,648
_MOST_PACKED = 1_100  # times that the compression of HDF5, deflate, can shrink anything

_ID = re.compile(r"[0-9a-f]{40}")


class Patches(ABC):
    """Labelled patches of one source; their ids count from 0 in the order of `labels`."""

    labels: torch.Tensor  # (patches,), int64, 1 where the centre holds tumour tissue

    @abstractmethod
    def read(self, ids: torch.Tensor, crop: int) -> tuple[torch.Tensor, Mapping[int, str]]:
        """Return the central `crop` x `crop` pixels (patches, 3, crop, crop; uint8) of `ids`.

        The second value says, by row, which patches would not decode and why; what the first
        has in these rows means nothing.
        """


class KagglePatches(Patches):
    """Patches of the Kaggle competition: a TIFF file each, named by ids in a table of labels.

    Ids here count the names in alphabetic order: the order of files in a folder is not the same
    everywhere.
    """

    def __init__(self, table: Path, folder: Path, counts: tuple[int, int]) -> None:
        """Read the table; `counts` is how many patches of label 0 and 1 it must have.

        Raises UserError where the table is not what it should be or files are missing.
        """
        import torch

        labels = read_labels(table)
        self.names = sorted(labels)
        self.labels = torch.tensor([labels[name] for name in self.names], dtype=torch.int64)
        self._folder = folder
        found = tuple(self.labels.bincount(minlength=CLASSES).tolist())
        if found != counts:
            raise refusal(table, _counted(*counts), _counted(*found))
        self._refuse_missing()

    def read(self, ids: torch.Tensor, crop: int) -> tuple[torch.Tensor, Mapping[int, str]]:
        """Decode the files of `ids` on several threads."""
        import torch

        images = torch.empty((len(ids), 3, crop, crop), dtype=torch.uint8)
        pixels, names = images.numpy(), [self.names[i] for i in ids.tolist()]

        def decode(rows: range) -> dict[int, str]:
            failures = {}
            for row in rows:
                file = f"{names[row]}.tif"
                try:
                    pixels[row] = _decoded(self._folder / file, crop)
                except Exception as error:  # of a damaged file, Pillow raises anything
                    failures[row] = f"`{file}` ({str(error)[:100]})"
            return failures

        with ThreadPoolExecutor() as pool:
            blocks = pool.map(decode, _blocks(0, len(names)))
            return images, {row: why for failures in blocks for row, why in failures.items()}

    def _refuse_missing(self) -> None:
        try:
            there = set(os.listdir(self._folder))
        except OSError as error:
            raise refusal(
                self._folder, "a folder of `.tif` files", f"the error `{error}`"
            ) from None
        missing = [file for name in self.names if (file := f"{name}.tif") not in there]
        if missing:
            raise refusal(
                self._folder,
                f"a file for each of the {len(self.names):,} patches in the table of labels",
                f"none for {named(missing)}",
            )


class H5Patches(Patches):
    """Patches of the official HDF5 files; ids count on from one pair of files to the next."""

    def __init__(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Read the labels of `pairs` of files, the patches and their labels.

        Raises UserError where a file is not what its name says.
        """
        import torch

        labels = [_h5_labels(x, y) for x, y in pairs]
        self.labels = torch.cat(labels)
        self._files = [x for x, _ in pairs]
        self.parts = torch.arange(len(self.labels)).split([len(part) for part in labels])

    def read(self, ids: torch.Tensor, crop: int) -> tuple[torch.Tensor, Mapping[int, str]]:
        """Read neighbouring patches at once, so memory is bounded; none fails alone."""
        import torch

        images = torch.empty((len(ids), 3, crop, crop), dtype=torch.uint8)
        for path, part in zip(self._files, self.parts, strict=True):
            first = int(part[0])
            rows = ((ids >= first) & (ids < first + len(part))).nonzero().squeeze(1)
            if len(rows):
                _read_h5(path, (ids[rows] - first).numpy(), crop, images.numpy(), rows.numpy())
        return images, {}


def read_labels(path: Path) -> dict[str, int]:
    """Return the labels (0 or 1) of a table `id,label`, by the names in its first column.

    Raises UserError that names the line where the table is not what it should be.
    """
    labels: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if header != ["id", "label"]:
                raise refusal(path, "a table with the header `id,label`", _shown(header))
            for row in rows:
                if not row:
                    continue  # a blank line, such as at the end
                name, label = _checked(path, row, rows.line_num)
                if name in labels:
                    raise refusal(path, "each id once", f"`{name}` again in line {rows.line_num}")
                labels[name] = label
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise refusal(path, "a table with the header `id,label`", f"the error `{error}`") from None
    return labels


def _checked(path: Path, row: list[str], line: int) -> tuple[str, int]:
    # The names become those of files, so anything but digits is refused.
    if len(row) != 2 or not _ID.fullmatch(row[0]) or row[1] not in {"0", "1"}:
        raise refusal(
            path,
            "an id of 40 hexadecimal digits and a label, 0 or 1",
            f"{_shown(row)} in line {line}",
        )
    return row[0], int(row[1])


def named(files: Sequence[str], most: int = 5) -> str:
    """Return how many files there are and the names of the first: `7 files: a, b, ...`."""
    more = ", ..." if len(files) > most else ""
    return f"{len(files):,} of them: {', '.join(files[:most])}{more}"


def _counted(negative: int, positive: int) -> str:
    return f"{negative + positive:,} patches ({negative:,} with label 0, {positive:,} with label 1)"


def _shown(row: list[str]) -> str:
    return repr(",".join(row)[:80])


def _decoded(path: Path, crop: int) -> NDArray[np.uint8]:
    """Return the central pixels (3, crop, crop) of a TIFF file; ValueError for another image."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    # Read at once: the decoder's many small reads would make the threads wait for each other.
    with path.open("rb") as file:
        content = io.BytesIO(file.read(_MOST_BYTES))
    try:
        opened = Image.open(content, formats=("TIFF",))
    except UnidentifiedImageError:
        raise ValueError("not a TIFF image") from None
    with opened as image:
        if image.mode != "RGB" or image.size != (SIDE, SIDE):
            raise ValueError(
                f"expected RGB of {SIDE}x{SIDE} pixels, got {image.mode} of "
                f"{image.width}x{image.height}"
            )
        return _central(np.asarray(image), crop).transpose(2, 0, 1)


def _central(patches: NDArray[np.uint8], crop: int) -> NDArray[np.uint8]:
    """Cut the centre out of patches (..., 96, 96, 3)."""
    border = (SIDE - crop) // 2
    return patches[..., border : border + crop, border : border + crop, :]


def _blocks(start: int, stop: int) -> Iterator[range]:
    for first in range(start, stop, _AT_ONCE):
        yield range(first, min(first + _AT_ONCE, stop))


def _h5_labels(images: Path, labels: Path) -> torch.Tensor:
    """Return the labels (patches,) of a pair of files, after checking both."""
    import torch

    with _opened(images) as file:
        patches = len(_dataset(images, file, "x", (SIDE, SIDE, 3)))
    with _opened(labels) as file:
        dataset = _dataset(labels, file, "y", (1, 1, 1))
        if len(dataset) != patches:
            raise refusal(labels, f"{patches:,} labels for `{images.name}`", f"{len(dataset):,}")
        values = dataset[:].reshape(-1)
    wrong = values >= CLASSES
    if wrong.any():
        patch = int(wrong.argmax())
        raise refusal(labels, "labels 0 and 1", f"{values[patch]} for patch {patch + 1:,}")
    return torch.from_numpy(values.astype("int64"))


def _read_h5(
    path: Path,
    patches: NDArray[np.int64],
    crop: int,
    out: NDArray[np.uint8],
    rows: NDArray[np.int64],
) -> None:
    """Copy the centres of `patches` of one file to `rows` of `out`, in the order of the file."""
    order = patches.argsort()
    patches, rows = patches[order], rows[order]
    with _opened(path) as file:
        dataset = _dataset(path, file, "x", (SIDE, SIDE, 3))
        for run in _runs(patches):
            block = dataset[patches[run[0]] : patches[run[-1]] + 1]
            out[rows[run]] = _central(block, crop).transpose(0, 3, 1, 2)


def _runs(numbers: NDArray[np.int64]) -> Iterator[range]:
    """Yield the positions of numbers that follow each other, of a few hundred at most."""
    import numpy as np

    starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1).tolist()
    for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield from _blocks(start, stop)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to be read; raises UserError for what goes wrong with it meanwhile."""
    try:
        import h5py
    except ImportError:
        raise UserError(
            f"{path}: reading HDF5 files needs h5py: pip install 'initbench[hdf5]'"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise refusal(path, "a whole HDF5 file", f"the error `{error}`") from None


def _dataset(path: Path, file: h5py.File, key: str, shape: tuple[int, ...]) -> h5py.Dataset:
    """Return the array of bytes `key`, (patches, *shape), which lies in the file itself.

    HDF5 can refer to other files, and a small file can claim any size.
    """
    import h5py

    expected = f"`{key}` with uint8 of shape (patches, {', '.join(map(str, shape))})"
    if not isinstance(file.get(key, getlink=True), h5py.HardLink):
        raise refusal(path, expected, f"none, but {', '.join(sorted(file)[:5]) or 'nothing'}")
    found = file[key]
    if not isinstance(found, h5py.Dataset):
        raise refusal(path, expected, "a group")
    if found.dtype != "uint8" or found.shape[1:] != shape or not len(found):
        raise refusal(path, expected, f"{found.dtype} of shape {found.shape}")
    if found.external or found.is_virtual:
        raise refusal(path, expected, "a reference to another file")
    if found.nbytes > _MOST_PACKED * path.stat().st_size:
        raise refusal(path, expected, f"{found.shape}, more than this file can hold")
    return found
