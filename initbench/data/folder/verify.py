"""Verification: are the files here the official ones?

Official is what has a digest that its publisher, or torchvision, gives, and what `fetch` unpacked
from an archive that has one, as long as it stays what it was. Reading gigabytes for it takes time,
so digests are remembered for as long as path, size and time of change stay the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from initbench.data.dataset import DataSet, Remark
from initbench.data.files import Report, silent
from initbench.data.folder.digests import TREE, algorithm_of, digest_of, stamp_of
from initbench.data.folder.filed import Place, places_of
from initbench.data.folder.remembered import Remembered, cache_folder
from initbench.errors import UserError

_DIGESTS = "digests.json"
_FETCHED = "fetched.json"


class FileState(StrEnum):
    """What is known of a declared file."""

    OFFICIAL = "official"
    UNOFFICIAL = "unofficial"
    UNPUBLISHED = "unpublished"  # nobody has published a digest of it
    MADE = "made"  # here, by the data set itself
    MISSING = "missing"


@dataclass(frozen=True)
class FileVerdict:
    """A declared file, and whether what is here is the official one."""

    path: str
    """As declared."""
    state: FileState
    found: Path | None
    expected: tuple[str, ...]
    """Official digests of the form that was found."""
    got: tuple[str, ...] = ()
    """Digests of what was found, up to the first that is official."""
    problem: str = ""
    """Why what is there cannot be used, and what to do."""

    def __str__(self) -> str:
        text = f"{self.state:<11}  {self.found or self.path}"
        if self.state is FileState.UNOFFICIAL:
            text += f": expected {' or '.join(self.expected)}, got {', '.join(self.got)}"
        return f"{text}: {self.problem}" if self.problem else text


def verify(
    dataset: DataSet[Any], root: Path, report: Report = silent, *, recheck: bool = False
) -> tuple[FileVerdict, ...]:
    """Return a verdict on each file that `dataset` declares; a missing one raises nothing.

    Args:
        dataset: the configured data set.
        root: the data folder.
        report: is told how far reading has come, in bytes.
        recheck: read everything again, whatever is remembered.

    Raises:
        UserError: a file cannot be read.
    """
    known = _Known.below(root)
    return tuple(_verdict(place, known, report, recheck) for place in places_of(dataset, root))


def remember_official(root: Path, path: Path, report: Report = silent) -> None:
    """Remember that a file or folder below `root` was just unpacked from an official archive."""
    known = _Known.below(root)
    algorithm = TREE if path.is_dir() else "sha256"
    known.fetched.put(_key(path), _digest(path, algorithm, known, report, recheck=False))


def remarks(verdicts: Sequence[FileVerdict]) -> tuple[Remark, ...]:
    """Return what must be said about images from these files: nothing where all are official."""
    reasons = []
    if different := [v for v in verdicts if v.state is FileState.UNOFFICIAL]:
        verb = "differs" if len(different) == 1 else "differ"
        reasons.append(f"{_names(different)} {verb} from the official digest")
    if unknown := [v for v in verdicts if v.state is FileState.UNPUBLISHED]:
        reasons.append(f"no official digest is published for {_names(unknown)}")
    return (Remark("unofficial data", "; ".join(reasons)),) if reasons else ()


@dataclass(frozen=True)
class _Known:
    """What is remembered, by path."""

    digests: Remembered
    """Of each file or folder: its stamp, and its digests by algorithm."""
    fetched: Remembered
    """The digest of what was unpacked from an official archive."""

    @classmethod
    def below(cls, root: Path) -> _Known:
        folder = cache_folder(root)
        return cls(Remembered(folder / _DIGESTS), Remembered(folder / _FETCHED))


def _verdict(place: Place, known: _Known, report: Report, recheck: bool) -> FileVerdict:
    path, form, found = place.file.path, place.form, place.found
    if form is None or found is None:
        expected = place.file.digests
        return FileVerdict(path, FileState.MISSING, None, expected, problem=place.problem)
    if form.made:
        return FileVerdict(path, FileState.MADE, found, ())
    fetched = known.fetched.get(_key(found))
    expected = form.digests or ((fetched,) if fetched else ())
    if not expected:
        return FileVerdict(path, FileState.UNPUBLISHED, found, ())
    try:
        got = _digests(found, expected, known, report, recheck)
    except OSError as error:
        raise UserError(
            f"`{found}` cannot be read ({error.strerror}): repair its permissions or copy it again"
        ) from error
    state = FileState.OFFICIAL if got[-1] in expected else FileState.UNOFFICIAL
    return FileVerdict(path, state, found, expected, got)


def _digests(
    path: Path, official: Sequence[str], known: _Known, report: Report, recheck: bool
) -> tuple[str, ...]:
    """Return the digests of a file, of the kinds of the official ones, up to the first match."""
    got: list[str] = []
    for algorithm in dict.fromkeys(map(algorithm_of, official)):
        got.append(_digest(path, algorithm, known, report, recheck))
        if got[-1] in official:
            break
    return tuple(got)


def _digest(path: Path, algorithm: str, known: _Known, report: Report, recheck: bool) -> str:
    """Return one digest of a file or folder, and remember it."""
    stamp = stamp_of(path)
    entry = known.digests.get(_key(path))
    digests: dict[str, str] = entry["digests"] if entry and entry["stamp"] == stamp else {}
    if recheck or algorithm not in digests:
        digests[algorithm] = digest_of(path, algorithm, report)
        # One that changed meanwhile has a digest that will never be seen again.
        if stamp_of(path) == stamp:
            known.digests.put(_key(path), {"stamp": stamp, "digests": digests})
    return digests[algorithm]


def _key(path: Path) -> str:
    return os.path.abspath(path)


def _names(verdicts: Sequence[FileVerdict]) -> str:
    first = f"`{verdicts[0].path}`"
    return first if len(verdicts) == 1 else f"{first} and {len(verdicts) - 1} more"
