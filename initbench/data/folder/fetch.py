"""Fetching: the official files of a data set, downloaded, checked, and then given their names.

What is guaranteed. A file appears under its name when its digest is right, archives are unpacked
whole or not at all (`archive.py`), and no file that was there before is replaced. After a kill, the
next call goes on where this one was. Two calls at once take turns at each download.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from initbench.data.dataset import DataSet
from initbench.data.files import DataFile, Download, Report, silent
from initbench.data.folder.archive import next_step, unpack
from initbench.data.folder.digests import algorithm_of, digest_of
from initbench.data.folder.filed import (
    advice,
    base_folder,
    below,
    command,
    missing_files,
    places_of,
)
from initbench.data.folder.remembered import cache_folder
from initbench.data.folder.transfer import TransferError, transfer
from initbench.data.folder.verify import FileState, FileVerdict, remember_official, verify
from initbench.errors import UserError


def fetch(dataset: DataSet[Any], root: Path, report: Report = silent) -> list[Path]:
    """Put the official files of `dataset` into place and return the files and folders that are new.

    What is there already and official is not fetched again. An archive that somebody put where it
    would be downloaded to is only unpacked.

    Args:
        dataset: the configured data set.
        root: the data folder; it is made if it is missing.
        report: is told how many bytes have come, been checked, been unpacked.

    Raises:
        UserError: there is no way to download it, no network, no space, the folder cannot be
            written to, what came is not the official file, or other files are in the way. Where it
            helps, the message says which file to put where by hand.
    """
    new: list[Path] = []
    with _explained(dataset, root):
        if dataset.downloads():
            root.mkdir(parents=True, exist_ok=True)
        _refuse_to_replace(dataset, verify(dataset, root, report))
        wanted = [x for x in dataset.downloads() if _is_lacking(dataset, x, root, report)]
        for done, download in enumerate(wanted):
            try:
                with _turn(root, _target(dataset, download, root), report):
                    # Another process may have fetched it while we waited.
                    if _is_lacking(dataset, download, root, report):
                        new += _fetch_one(dataset, download, root, report)
            except TransferError as error:
                raise _by_hand(dataset, wanted[done:], root, str(error)) from error
    places = places_of(dataset, root)
    if any(place.found is None for place in places):
        raise missing_files(dataset, places, dataset.how_to_get or advice(dataset))
    return new


def _refuse_to_replace(dataset: DataSet[Any], verdicts: Sequence[FileVerdict]) -> None:
    """Raise UserError where something else is in the place of an official file."""
    for verdict in verdicts:
        if verdict.state is FileState.UNOFFICIAL:
            raise _in_the_way(dataset, f"{verdict.found}", verdict.expected, verdict.got)
        if verdict.problem:
            raise UserError(f"data set `{dataset.name}`: {verdict.problem}")


def _in_the_way(
    dataset: DataSet[Any], path: str, expected: Sequence[str], got: Sequence[str]
) -> UserError:
    return UserError(
        f"data set `{dataset.name}`: `{path}` is there, but is not the official file (expected "
        f"{' or '.join(expected)}, got {', '.join(got)}), and nothing is replaced: move it away, "
        "or set INITBENCH_DATA to another folder"
    )


def _is_lacking(dataset: DataSet[Any], download: Download, root: Path, report: Report) -> bool:
    """Say whether a file that `download` provides is not there, or only one that was made here."""
    provided = _provided(dataset, download)
    verdicts = [v for v in verify(dataset, root, report) if v.path in provided]
    if not verdicts:
        return not _target(dataset, download, root).exists()
    return any(v.state in (FileState.MISSING, FileState.MADE) for v in verdicts)


def _provided(dataset: DataSet[Any], download: Download) -> set[str]:
    """Return the declared paths of the files that a download provides."""
    if download.unpack in ("tar", "zip") and not download.provides:
        others = [x for x in dataset.downloads() if x is not download and _named(x)]
        taken = {file.path for x in others for file in dataset.files() if _names(_named(x), file)}
        return {file.path for file in dataset.files()} - taken
    return {file.path for file in dataset.files() if _names(_named(download), file)}


def _named(download: Download) -> tuple[str, ...]:
    """Return the files or folders that a download provides, as far as it says so."""
    match download.unpack:
        case None:
            return (download.path,)
        case "gzip":
            name = PurePosixPath(download.path).name.removesuffix(".gz")
            return ((PurePosixPath(download.into) / name).as_posix(),)
        case _:
            return download.provides


def _names(named: Sequence[str], file: DataFile) -> bool:
    """Say whether a form of `file` is among the files and folders `named`."""
    return any(PurePosixPath(form.path).is_relative_to(x) for form in file.forms() for x in named)


def _fetch_one(dataset: DataSet[Any], download: Download, root: Path, report: Report) -> list[Path]:
    """Download and unpack; return what is new."""
    target = _target(dataset, download, root)
    was_there = target.exists()
    if was_there:
        got = digest_of(target, algorithm_of(download.digest), report)
        if got != download.digest:
            raise _in_the_way(dataset, f"{target}", [download.digest], [got])
    else:
        _download(download, target, report)
    if download.unpack is None:
        return [target]
    into = below(base_folder(dataset, root), download.into)
    new = unpack(target, download.unpack, into, report)
    if not was_there:
        target.unlink()
    for place in places_of(dataset, root):
        found = place.found
        if found and any(found.is_relative_to(path) for path in new):
            remember_official(root, found, report)
    return new


def _download(download: Download, target: Path, report: Report) -> None:
    """Make `target` the official file.

    Raises TransferError that says why each mirror failed.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_space(part, download.size)
    problems = []
    for url in download.urls:
        try:
            _from_mirror(url, part, download, report)
        except TransferError as error:
            problems.append(f"{url}: {error}")
        else:
            os.rename(part, target)
            return
    if part.exists() and part.stat().st_size == 0:
        part.unlink()
    raise TransferError("; ".join(problems))


def _from_mirror(url: str, part: Path, download: Download, report: Report) -> None:
    """Complete `part` and check it; what is wrong is not kept.

    A digest can be wrong because the beginning came from another version of the file or from
    another mirror, so that is worth one download from the beginning.
    """
    what = f"fetching {part.name.removesuffix('.part')}"
    for _ in range(2):
        continued = transfer(url, part, download.size, what, report)
        got = digest_of(part, algorithm_of(download.digest), report)
        if got == download.digest:
            return
        part.unlink()
        if not continued:
            break
    raise TransferError(f"another file came: expected {download.digest}, got {got}")


def _check_space(part: Path, size: int | None) -> None:
    there = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - there > free:
        reason = f"{size - there:,} bytes are needed, {free:,} are free"
        raise OSError(errno.ENOSPC, reason, str(part))


@contextmanager
def _turn(root: Path, target: Path, report: Report) -> Iterator[None]:
    """Keep other processes from downloading to the same `target` meanwhile."""
    name = hashlib.sha256(os.path.abspath(target).encode()).hexdigest()[:16]
    path = cache_folder(root) / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that fetches {target.name}", 0, 0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(dataset: DataSet[Any], root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"data set `{dataset.name}`: cannot write `{error.filename or root}`: "
            f"{error.strerror or error}; {next_step(error)}; what has come is kept"
        ) from error


def _by_hand(
    dataset: DataSet[Any], wanted: Sequence[Download], root: Path, problem: str
) -> UserError:
    """Build the error that says which file to put where."""
    lines = [
        f"data set `{dataset.name}` cannot be downloaded: {problem}",
        f"try again later, or put these files there by hand and run `{command('fetch', dataset)}` "
        "to have them checked:",
    ]
    for download in wanted:
        size = "" if download.size is None else f"{download.size:,} bytes, "
        lines += [
            f"  {download.urls[0]} ({size}{download.digest})",
            f"    to {_target(dataset, download, root)}",
        ]
    return UserError("\n".join(lines))


def _target(dataset: DataSet[Any], download: Download, root: Path) -> Path:
    return below(base_folder(dataset, root), download.path)
