"""LIBSVM text: a row a line, `label index:value index:value ...`, here with every index given."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.formats.refusal import refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHARACTERS = 32  # that `index:value` and a blank may take at most, on average


def read_libsvm_bz2(
    path: Path, rows: int, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the labels (rows,) and values (rows, columns) of a dense file packed with bzip2.

    Raises:
        UserError: the file is damaged, or a line (named) does not hold a number and the indices
            1..columns, each with a finite number.
    """
    lines = _unpacked(path, most=_CHARACTERS * rows * (columns + 1)).splitlines()
    if len(lines) != rows:
        raise refusal(path, f"{rows:,} lines", f"{len(lines):,}")
    try:
        table = _parsed(lines, columns)
    except ValueError:
        number = next(i for i, line in enumerate(lines) if not _parses(line, columns))
        raise refusal(
            path,
            f"a label and {columns} pairs `index:value`, indices rising from 1, in line "
            f"{number + 1:,}",
            f"`{lines[number][:60].decode('ascii', 'backslashreplace')}...`",
        ) from None
    return table[:, 0], table[:, 2::2]


def _unpacked(path: Path, most: int) -> bytes:
    try:
        with bz2.open(path) as file:
            text = file.read(most + 1)
    except (OSError, EOFError) as error:
        raise refusal(path, "a whole bzip2 file", f"the error `{error}`") from None
    if len(text) > most:
        raise refusal(path, f"{most:,} characters at most when unpacked", "more")
    return text


def _parsed(lines: list[bytes], columns: int) -> NDArray[np.float64]:
    """Return label, index, value, index, value, ... of each line; ValueError where one is odd."""
    import numpy as np

    if any(line.count(b":") != columns for line in lines):
        raise ValueError
    text = [line.replace(b":", b" ").decode("ascii") for line in lines]
    table = np.loadtxt(text, dtype=np.float64, comments=None, ndmin=2)
    if table.shape[1] != 1 + 2 * columns or not np.isfinite(table).all():
        raise ValueError
    if (table[:, 1::2] != np.arange(1, columns + 1)).any():
        raise ValueError
    return table


def _parses(line: bytes, columns: int) -> bool:
    try:
        _parsed([line], columns)
    except ValueError:
        return False
    return True
