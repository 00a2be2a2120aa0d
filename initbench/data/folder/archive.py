"""Archives: unpacked whole or not at all, and only where they are meant to go.

What is guaranteed. After `unpack` returns, every file of the archive is in place. If it raises, or
the process is killed, files that were there before are as they were, and a new one is whole or
absent. Nothing is ever written outside the folder `into`, and no existing file is replaced: one
with the same content stays, one with another content is an error.

By which steps. Everything is written to a folder of its own inside `into`, and renamed when all of
it is there and on disk. What a killed call leaves behind is a folder `.unpack-...`, which the next
call for the same archive deletes. Two such calls at once must be kept apart by the caller.

What is refused. Members with absolute paths, `..`, backslashes or control characters, members
that occur twice, links and devices: archives of images need none of them, so we write plain files
ourselves and need not rely on the filters of `tarfile`, which let links through. Also more
bytes or members than an archive of its size has, whatever its headers claim.
"""

from __future__ import annotations

import errno
import filecmp
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from initbench.data.files import Report, Unpacking, silent
from initbench.data.folder.remembered import OWN_FOLDER
from initbench.errors import UserError

_CHUNK = 1 << 20
_LARGEST_READ = 1 << 24
_TEMPORARY = ".unpack-"
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,  # impossible numbers in headers
    OverflowError,
    RuntimeError,  # encrypted, unknown methods, headers nested without end
)
"""What the libraries raise for archives that are damaged or made up."""


class ArchiveError(UserError):
    """An archive is damaged, hostile, or does not fit; nothing of it was kept."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    total_bytes: int
    members: int = 1_000_000

    @classmethod
    def of(cls, archive: Path) -> Limits:
        """Return limits that no archive of images reaches: these hardly compress."""
        return cls(max(1 << 30, 20 * archive.stat().st_size))


def unpack(
    archive: Path,
    kind: Unpacking,
    into: Path,
    report: Report = silent,
    limits: Limits | None = None,
) -> list[Path]:
    """Unpack an archive into the folder `into` and return the files and folders that are new there.

    Args:
        archive: the file.
        kind: `tar` (gzipped or not), `zip`, or `gzip` for a single file, which is named as the
            archive without `.gz`.
        into: the folder; it is made if it is missing.
        report: is told how many bytes of the archive were read (files, for `zip`).
        limits: how much it may hold; usually 20 times its own size.

    Raises:
        ArchiveError: it is not such an archive, damaged or hostile, does not fit on the disk, would
            replace a file, or the folder cannot be written to.
    """
    temporary = into / f"{_TEMPORARY}{archive.name}"
    with _explained(archive, into):
        into.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            with open(archive, "rb") as file:
                _write_members(archive, _members(archive, file, kind, report), temporary, limits)
            os.sync()  # once for all files: a hundred thousand single ones would take minutes
            return _put_in_place(archive, temporary, into)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def is_web_page(start: bytes) -> bool:
    """Say whether a file that starts like this is HTML, as servers send instead of files."""
    return (
        start.lstrip(b"\xef\xbb\xbf\r\n\t ")[:14].lower().startswith((b"<!doctype html", b"<html"))
    )


@dataclass(frozen=True)
class _Member:
    """A file of an archive, or a folder."""

    name: str
    open: Callable[[], IO[bytes]] | None  # None for a folder


def _members(archive: Path, file: BinaryIO, kind: Unpacking, report: Report) -> Iterator[_Member]:
    """Yield what an archive holds; each file must be read before the next one is asked for."""
    size = archive.stat().st_size

    def tell() -> None:
        report(f"unpacking {archive.name}", file.tell(), size)

    match kind:
        case "tar":
            yield from _tar_members(archive, file, tell)
        case "zip":
            yield from _zip_members(archive, file, report)
        case "gzip":
            content = _Metered(gzip.GzipFile(fileobj=file), tell)
            yield _Member(archive.name.removesuffix(".gz"), lambda: cast("IO[bytes]", content))


def _tar_members(archive: Path, file: BinaryIO, tell: Callable[[], None]) -> Iterator[_Member]:
    is_gzipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    metered = _Metered(cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_gzipped else file, tell)
    with tarfile.open(fileobj=cast("IO[bytes]", metered), mode="r:") as tar:
        for info in tar:
            if info.isdir():
                yield _Member(info.name, None)
            elif info.isreg():
                yield _Member(info.name, partial(_opened, tar, info))
            else:
                raise _refused(archive, f"`{info.name}` is a link or device")
    # tarfile takes an archive that was cut off between two files for a whole one.
    if metered.last != bytes(tarfile.BLOCKSIZE):
        raise EOFError("its end is missing")
    while metered.read(_CHUNK):  # the checksum of gzip stands at the very end
        pass


def _opened(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    return cast("IO[bytes]", tar.extractfile(info))


def _zip_members(archive: Path, file: BinaryIO, report: Report) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as zipped:
        members = zipped.infolist()
        for done, info in enumerate(members):
            report(f"unpacking {archive.name}", done, len(members))
            kind = stat.S_IFMT(info.external_attr >> 16)  # zero where it was not made on Unix
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f"`{info.filename}` is a link or device")
            yield _Member(info.filename, None if info.is_dir() else partial(zipped.open, info))


class _Metered:
    """A file to read from that tells of its progress and reads no great amount at once.

    A header can ask `tarfile` to read any number of bytes into memory.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile, tell: Callable[[], None]) -> None:
        self._file, self._tell = file, tell
        self.last = b""
        """What was read last."""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise ValueError(f"a header claims to have {size:,} bytes")
        self.last = self._file.read(size)
        self._tell()
        return self.last

    def seek(self, offset: int) -> int:
        if offset < 0:
            raise ValueError("a header points outside of the file")
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()

    def __enter__(self) -> _Metered:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _write_members(
    archive: Path, members: Iterator[_Member], folder: Path, limits: Limits | None
) -> None:
    """Write all members into the new `folder`, within the limits."""
    most = limits or Limits.of(archive)
    rest = most.total_bytes
    count = 0
    for count, member in enumerate(members, start=1):
        if count > most.members:
            raise _refused(archive, f"it holds more than {most.members:,} files")
        path = _path(archive, member, folder)
        try:
            (path if member.open is None else path.parent).mkdir(parents=True, exist_ok=True)
            if member.open is None:
                continue
            with open(path, "xb") as file, member.open() as content:
                while chunk := content.read(_CHUNK):
                    rest -= len(chunk)
                    if rest < 0:
                        raise _refused(archive, f"it holds more than {most.total_bytes:,} bytes")
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError):
            raise _refused(archive, f"`{member.name}` is in it twice") from None
    if count == 0:
        raise _refused(archive, "it is empty")


def _path(archive: Path, member: _Member, folder: Path) -> Path:
    """Return where a member goes, which is inside `folder`."""
    name, path = member.name, PurePosixPath(member.name)
    hidden = any(part == OWN_FOLDER or part.startswith(_TEMPORARY) for part in path.parts)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable() or hidden:
        raise _refused(archive, f"`{ascii(name)[1:-1]}` leads out of its folder")
    return folder / path


def _put_in_place(archive: Path, temporary: Path, into: Path) -> list[Path]:
    moves = list(_moves(archive, temporary, into))
    for source, target in moves:
        os.rename(source, target)
    return [target for _, target in moves]


def _moves(archive: Path, source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield what to rename; as little as possible, so that new folders appear at once."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if not os.path.lexists(place):
            yield entry, place
        elif entry.is_dir() and place.is_dir():
            yield from _moves(archive, entry, place)
        elif not (entry.is_file() and place.is_file() and filecmp.cmp(entry, place, shallow=False)):
            raise ArchiveError(
                f"`{archive}` holds a file that is already there with another content: `{place}`; "
                "move that away and try again; nothing was changed"
            )


def _refused(archive: Path, reason: str) -> ArchiveError:
    return ArchiveError(
        f"`{archive}` was not unpacked: {reason}; nothing of it was kept: replace it by the "
        "original, or unpack it yourself if you trust it"
    )


@contextmanager
def _explained(archive: Path, into: Path) -> Iterator[None]:
    """Turn what the libraries and the system raise into an ArchiveError."""
    try:
        yield
    except _BROKEN as error:
        with open(archive, "rb") as file:
            kind = "a web page" if is_web_page(file.read(_CHUNK)) else "damaged"
        raise _refused(archive, f"it is {kind} ({str(error) or type(error).__name__})") from error
    except OSError as error:
        raise ArchiveError(
            f"cannot unpack `{archive}` into `{into}`: {error.strerror or error}; nothing of it "
            f"was kept: {next_step(error)}"
        ) from error


def next_step(error: OSError) -> str:
    """Return what to do about a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space and try again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "repair its permissions, or set INITBENCH_DATA to a folder that you may write to"
    return "repair that and try again"
