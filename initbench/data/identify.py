"""Identification: which images stand behind a name here, and what must be said about them.

A plan needs the fingerprint of every data set before anything is trained. Computing one reads all
images, so it is remembered, beside the data, for as long as the files stay what they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from initbench.data.dataset import DataSet, ImageSplits, Remark, SplitName
from initbench.data.files import Report, silent
from initbench.data.fingerprint import fingerprint
from initbench.data.folder.remembered import Remembered, cache_folder
from initbench.data.folder.verify import FileVerdict, remarks, verify
from initbench.data.memory import (
    available_bytes,
    check_preparing,
    preparing_bytes,
    resident_bytes,
)
from initbench.data.prepared import load

_MEMORY = "fingerprints.json"


@dataclass(frozen=True)
class Identified:
    """The images that a data set has on this machine."""

    fingerprint: str
    sizes: Mapping[SplitName, int]
    """Images of each split."""
    remarks: tuple[Remark, ...] = ()


def identify(
    dataset: DataSet[Any],
    reference: Mapping[str, Any],
    root: Path | None,
    report: Report = silent,
) -> Identified:
    """Return what images a data set has here, without reading them again if that can be avoided.

    Args:
        dataset: the configured data set.
        reference: the tree that identifies it and its code in keys.
        root: the data folder, if any.
        report: is told how far making and checking files have come.

    Raises:
        UserError: a file is missing or not what its name says, or all of it does not fit into
            memory.
        PluginError: the splits break the contract.
    """
    pinned, sizes = dataset.pinned_fingerprint(), dataset.split_sizes()
    if pinned is not None and sizes is not None and not dataset.files():
        return Identified(pinned, sizes)
    if root is not None:
        dataset.make(root, report)
    verdicts = verify(dataset, root, report) if root is not None else ()
    memory = Remembered(cache_folder(root) / _MEMORY) if root is not None and verdicts else None
    key = _digest([dict(reference), list(_stamps(verdicts))])
    known = _recalled(memory, key)
    if known is None:
        if all(verdict.found for verdict in verdicts):  # else `load` says what is missing
            _announce(dataset, report)
        known = _identified(load(dataset, root))
        if memory is not None:
            memory.put(key, _tree(known))
    return replace(known, remarks=_all_remarks(known, pinned, verdicts))


def remarked(
    dataset: DataSet[Any], splits: ImageSplits, found: str, root: Path | None
) -> ImageSplits:
    """Return `splits`, whose fingerprint is `found`, with what must be said about their files."""
    verdicts = verify(dataset, root, silent) if root is not None else ()
    known = Identified(found, {}, splits.remarks)
    return replace(splits, remarks=_all_remarks(known, dataset.pinned_fingerprint(), verdicts))


def _announce(dataset: DataSet[Any], report: Report) -> None:
    """Say what reading a data set takes, and refuse one that would not fit into memory."""
    sizes = dataset.split_sizes()
    if sizes is None or dataset.streamed:
        return
    channels, size = dataset.channels, dataset.native_size
    needed = preparing_bytes(sizes, channels, size, size)
    check_preparing(dataset.name, needed, available_bytes("cpu"))
    megabytes = resident_bytes(sizes, channels, size) / 1e6
    report(f"reading {dataset.name}: {sum(sizes.values()):,} images, {megabytes:,.0f} MB", 0, 0)


def _identified(splits: ImageSplits) -> Identified:
    sizes = {name: len(split) for name, split in splits.items()}
    return Identified(fingerprint(splits), sizes, splits.remarks)


def _all_remarks(
    known: Identified, pinned: str | None, verdicts: tuple[FileVerdict, ...]
) -> tuple[Remark, ...]:
    """Images that are bit for bit the published ones are official, whatever file they came in."""
    if pinned is not None and known.fingerprint == pinned:
        return known.remarks
    return (*remarks(verdicts), *known.remarks)


def _digest(tree: list[Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _stamps(verdicts: tuple[FileVerdict, ...]) -> Iterator[list[Any]]:
    """Yield what shows, without reading any file, whether one was changed.

    A folder stands for the files and folders that are directly in it: adding, removing and renaming
    one shows, overwriting one does not. Training compares fingerprints again.
    """
    for verdict in verdicts:
        for path in _with_folders(verdict.found):
            status = path.stat()
            size = status.st_size if path.is_file() else 0
            yield [verdict.path, str(path), size, status.st_mtime_ns]


def _with_folders(path: Path | None) -> list[Path]:
    if path is None:
        return []
    inside = sorted(x for x in path.iterdir() if x.is_dir()) if path.is_dir() else []
    return [path, *inside]


def _recalled(memory: Remembered | None, key: str) -> Identified | None:
    tree = memory.get(key) if memory is not None else None
    if tree is None:
        return None
    return Identified(
        tree["fingerprint"],
        tree["sizes"],
        tuple(Remark(mark, reason) for mark, reason in tree["remarks"]),
    )


def _tree(known: Identified) -> dict[str, Any]:
    return {
        "fingerprint": known.fingerprint,
        "sizes": dict(known.sizes),
        "remarks": [[remark.mark, remark.reason] for remark in known.remarks],
    }
