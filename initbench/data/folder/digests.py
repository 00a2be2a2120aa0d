"""Digests of files: `md5:...`, `sha256:...`, and `gzip+sha256:...` of what a gzip file holds.

What we have unpacked ourselves may be a folder; `tree+sha256:...` is that of all files in it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from initbench.data.files import Report, silent
from initbench.errors import PluginError

TREE = "tree+sha256"

_CHUNK = 1 << 20
_HEXADECIMALS = {"md5": 32, "sha256": 64, "gzip+sha256": 64, TREE: 64}


def algorithm_of(digest: str) -> str:
    """Return what stands before the colon; PluginError where it is no digest that we know."""
    algorithm, _, number = digest.partition(":")
    length = _HEXADECIMALS.get(algorithm)
    if length is None or not re.fullmatch(f"[0-9a-f]{{{length}}}", number):
        raise PluginError(
            f"a data set declares the digest `{digest}`; expected `md5:`, `sha256:` or "
            "`gzip+sha256:` and lower-case hexadecimal digits"
        )
    return algorithm


def digest_of(path: Path, algorithm: str, report: Report = silent) -> str:
    """Return the digest of a file (a folder for `tree+sha256`), such as `md5:0cc1...`.

    That of the content of a broken gzip file is `gzip+sha256:none`. Raises OSError.
    """
    match algorithm:
        case "tree+sha256":
            number = _tree_digest(path, report)
        case "gzip+sha256":
            number = _content_digest(path, report)
        case _:
            with open(path, "rb") as file:
                number = _digest(file, algorithm, _Progress(path, file, report))
    return f"{algorithm}:{number}"


def stamp_of(path: Path) -> list[int]:
    """Return what shows, without reading it, whether a file or a file in a folder was changed."""
    if not path.is_dir():
        return [path.stat().st_size, path.stat().st_mtime_ns]
    states = [os.stat(file) for file in _files_in(path)]
    latest = max((state.st_mtime_ns for state in states), default=0)
    return [len(states), sum(state.st_size for state in states), latest]


class _Progress:
    """Reports how far a file was read."""

    def __init__(self, path: Path, file: BinaryIO, report: Report) -> None:
        self._what, self._size = f"checking {path.name}", path.stat().st_size
        self._file, self._report = file, report

    def tell(self) -> None:
        self._report(self._what, self._file.tell(), self._size)


def _digest(content: BinaryIO, algorithm: str, progress: _Progress) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
        progress.tell()
    return digest.hexdigest()


def _content_digest(path: Path, report: Report) -> str:
    with open(path, "rb") as file:
        content = cast("BinaryIO", gzip.GzipFile(fileobj=file))
        try:
            return _digest(content, "sha256", _Progress(path, file, report))
        except (gzip.BadGzipFile, EOFError, zlib.error):
            return "none"


def _tree_digest(folder: Path, report: Report) -> str:
    digest = hashlib.sha256()
    files = sorted(_files_in(folder))
    for done, path in enumerate(files):
        report(f"checking {folder.name}", done, len(files))
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{os.path.relpath(path, folder)}\0{content}\n".encode())
    return digest.hexdigest()


def _files_in(folder: Path) -> Iterator[str]:
    """Yield the paths of all files below `folder`: strings, there may be a hundred thousand."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)
