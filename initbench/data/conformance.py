"""Conformance: whether a data set, ours or a third party's, keeps the contract.

The checks of `prepared.load` are made whenever a data set is used; those here cost a second
loading and are made on request: by `initbench data verify NAME`, and in the author's tests by
`initbench.api.check_dataset`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from initbench.data.dataset import DataSet, ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load
from initbench.errors import InitbenchError
from initbench.plugin.contract import violations
from initbench.plugin.guard import contained
from initbench.plugin.hooks import Kind


def check_dataset(dataset: DataSet[Any], root: Path | None = None) -> list[str]:
    """Return what is wrong with `dataset`, as sentences; an empty list where it conforms.

    It must state what the contract asks for, load splits that are disjoint and within the bounds it
    declares, agree with what it says about them beforehand, load the same splits again, and leave
    random generators and other global state alone.

    Args:
        dataset: a configured data set.
        root: the data folder, for data sets that read files.
    """
    broken = [f"`{dataset.name}` {what}" for what in _stated(dataset)]
    if broken:
        return broken
    try:
        who = f"`load` of `{dataset.name}`"
        first = contained(lambda: load(dataset, root)).result(who)
        # What importing a module changes is not the fault of `load`, and happens once.
        again = contained(lambda: load(dataset, root))
        return [
            *_agrees(dataset, first),
            *_repeats(first, again.result(who)),
            *(f"{who} {remark}" for remark in again.remarks()),
        ]
    except InitbenchError as error:
        return [str(error)]


def _stated(dataset: DataSet[Any]) -> Iterator[str]:
    yield from violations(Kind.DATASET, dataset.name, type(dataset))
    for file in dataset.files():
        for form in file.forms():
            path = PurePosixPath(form.path)
            if path.is_absolute() or ".." in path.parts:
                yield f"declares the file `{form.path}`, which is not inside the data folder"
    for download in dataset.downloads():
        for url in download.urls:
            if not url.startswith("https://"):
                yield f"declares the download `{url}`, which is not https"


def _agrees(dataset: DataSet[Any], splits: ImageSplits) -> Iterator[str]:
    """Compare the splits with what is said of them before they are loaded."""
    found = {name: len(split) for name, split in splits.items()}
    expected = dataset.split_sizes()
    if expected is not None and dict(expected) != found:
        yield f"`split_sizes` says {dict(expected)}, but `load` returned {found}"
    for name, split in splits.items():
        seen = split.labels.unique().numel()
        if seen < splits.classes:
            yield f"the split `{name}` has images of {seen} of the {splits.classes} classes only"


def _repeats(first: ImageSplits, again: ImageSplits) -> Iterator[str]:
    one, other = fingerprint(first), fingerprint(again)
    if one != other:
        yield (
            f"it loads other images, labels or splits each time: fingerprints {one} and {other}; "
            "draw splits from a generator with a fixed seed"
        )
