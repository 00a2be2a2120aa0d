"""Partial arrays: `.npy` files that grow in pieces, survive a kill, and appear when they are whole.

The pixels are in `fog.npy.part`, which has its full length from the start. `fog.npy.journal` holds
one line that says what the array is made from, and one for every piece that is finished: its first
row. A piece is on disk before its line is written, so a line is true after a power cut too; one
that was cut off does not count.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray


class PartialArray:
    """A uint8 array on its way to become the file `path`."""

    def __init__(self, path: Path, shape: tuple[int, ...], identity: str) -> None:
        """Continue the array that was begun with the same identity (a line of text), or begin it.

        What was begun with another identity, or is damaged, is thrown away. Nothing is written
        before the first piece.
        """
        self._path = path
        self._part_path = part_of(path)
        self._journal_path = path.with_name(f"{path.name}.journal")
        self._shape = shape
        self._header = _header(shape)
        self._identity = identity
        self.finished = self._read_journal()
        """The first row of each finished piece."""
        self._part: BinaryIO | None = None
        self._journal: BinaryIO | None = None

    def write(self, row: int, piece: NDArray[np.uint8]) -> None:
        """Put a piece where its first row belongs, on disk, and note that it is there."""
        part, journal = self._opened()
        part.seek(len(self._header) + row * math.prod(self._shape[1:]))
        _write_through(part, piece.tobytes())
        _write_through(journal, f"{row}\n".encode())
        self.finished.add(row)

    def array(self) -> NDArray[np.uint8]:
        """Return what is there, mapped from disk."""
        return np.memmap(
            self._part_path, np.uint8, "r", offset=len(self._header), shape=self._shape
        )

    def commit(self) -> None:
        """Give the file its name."""
        self.close()
        self._journal_path.unlink()  # first, so that a kill leaves no journal without its file
        os.replace(self._part_path, self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Stop for now."""
        for file in (self._part, self._journal):
            if file is not None:
                file.close()

    def _read_journal(self) -> set[int]:
        """Return the rows that are finished: none where nothing can be continued."""
        try:
            first, *lines = self._journal_path.read_bytes().splitlines(keepends=True)
            if first == f"{self._identity}\n".encode() and self._part_is_whole():
                return {int(line) for line in lines if line.endswith(b"\n")}
        except (FileNotFoundError, ValueError):
            pass
        return set()

    def _part_is_whole(self) -> bool:
        return self._part_path.stat().st_size == self._size

    def _opened(self) -> tuple[BinaryIO, BinaryIO]:
        if self._part is None or self._journal is None:
            if not self.finished:
                self._begin()
            self._part = open(self._part_path, "r+b")  # noqa: SIM115 - until `close`
            self._journal = self._rewritten_journal()
        return self._part, self._journal

    def _begin(self) -> None:
        # First of all the journal goes: its lines are not true of the new file.
        self._journal_path.unlink(missing_ok=True)
        sync_folder(self._path.parent)
        with open(self._part_path, "wb") as part:
            part.write(self._header)
            part.truncate(self._size)
            _write_through(part, b"")

    def _rewritten_journal(self) -> BinaryIO:
        """Return the journal, open at its end, without a line that was cut off."""
        lines = [self._identity, *map(str, sorted(self.finished))]
        replace_file(self._journal_path, "".join(f"{line}\n" for line in lines).encode())
        return open(self._journal_path, "ab")

    @property
    def _size(self) -> int:
        return len(self._header) + math.prod(self._shape)


def part_of(path: Path) -> Path:
    """Return where the pixels of `path` are until it is whole."""
    return path.with_name(f"{path.name}.part")


def replace_file(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`, whole or not at all; one process at a time."""
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "wb") as file:
        _write_through(file, data)
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_through(file: BinaryIO, data: bytes) -> None:
    """Write `data` and wait until it is on disk."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _header(shape: tuple[int, ...]) -> bytes:
    """Return what stands before the pixels in an `.npy` file, as `numpy.save` writes it."""
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()
