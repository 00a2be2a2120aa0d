"""Data files: what a data set is read from, and where it can be downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

Unpacking = Literal["gzip", "tar", "zip"]


@dataclass(frozen=True)
class DataFile:
    """A file or folder below the data folder that a data set is read from."""

    path: str
    """Relative to the data folder, with `/` on every platform."""
    digests: tuple[str, ...] = ()
    """`md5:...` or `sha256:...` of the official file, any of which will do; `gzip+sha256:...` is
    that of what a gzip file holds. None for folders and where the source publishes none."""
    size: int | None = None
    """Bytes of the official file, where known."""
    alternatives: tuple[DataFile, ...] = ()
    """Other forms of the same content, such as the uncompressed file; any of them will do."""
    made: bool = False
    """Whether the data set makes it here: nobody else has it, and `load` remarks on it."""

    def forms(self) -> Iterator[DataFile]:
        """Yield this file and its alternatives, in the order in which they are looked for."""
        yield self
        yield from self.alternatives


@dataclass(frozen=True)
class Download:
    """Something to fetch over https, and where it goes."""

    urls: tuple[str, ...]
    """Mirrors, in the order in which they are tried."""
    path: str
    """Where the downloaded file is put, relative to the data folder."""
    digest: str
    """`md5:...` or `sha256:...`, checked before the file is given its name."""
    size: int | None = None
    unpack: Unpacking | None = None
    into: str = "."
    """The folder that an archive is unpacked in, relative to the data folder."""
    provides: tuple[str, ...] = ()
    """Declared files, or folders of them, that are in a tar or zip archive; left out: all that no
    other download provides."""


class Report(Protocol):
    """Is told how far a long piece of work has come; with a total of 0, that it begins."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""
