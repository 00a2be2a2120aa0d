"""Prepared data: a data set loaded, checked and brought to the size a model needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.data.dataset import DataSet, ImageSplits, Split
from initbench.data.fingerprint import fingerprint
from initbench.errors import PluginError, UserError

if TYPE_CHECKING:
    import torch


def prepare(
    dataset: DataSet[Any], size: int, root: Path | None, *, expected: str | None = None
) -> ImageSplits:
    """Return the splits of `dataset` at `size` x `size` pixels, checked against what is known.

    `root` is the data folder, if any; `expected` is the fingerprint at native size that a plan
    was made with (left out: the one that the data set pins, if it does).

    Raises UserError where the fingerprint differs, PluginError where the splits break the contract.
    """
    from initbench.data.resize import resize

    splits = load(dataset, root)
    expected = expected or dataset.pinned_fingerprint()
    found = fingerprint(splits)
    if expected is not None and found != expected:
        raise UserError(
            f"data set `{dataset.name}`: images, labels or splits are not the expected ones: "
            f"expected fingerprint {expected}, got {found}; restore the original files"
            + (f" below {root}" if root else "")
            + ", or reinstall the package that provides this data set"
        )

    def resized(split: Split) -> Split:
        return replace(split, images=resize(split.images, size))

    return replace(
        splits,
        train=resized(splits.train),
        validation=resized(splits.validation),
        test=resized(splits.test),
    )


def load(dataset: DataSet[Any], root: Path | None) -> ImageSplits:
    """Return the splits of `dataset` at native size, after checking that they keep the contract.

    Raises PluginError that names the data set, the split and what is wrong with it.
    """
    splits = dataset.load(root)
    problem = next(iter(_problems(dataset, splits)), None)
    if problem:
        raise PluginError(f"data set `{dataset.name}` broke its contract: {problem}")
    return splits


def to_tensors(splits: ImageSplits) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return `splits` as named tensors and a description in plain JSON, to be stored."""
    tensors = {}
    for name, split in splits.items():
        tensors[f"{name}.images"] = split.images.contiguous()
        tensors[f"{name}.labels"] = split.labels.contiguous()
        tensors[f"{name}.ids"] = split.ids.contiguous()
    description = {
        "classes": splits.classes,
        "mean": list(splits.mean),
        "std": list(splits.std),
    }
    return tensors, description


def from_tensors(
    tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any]
) -> ImageSplits:
    """Return the splits that `to_tensors` took apart."""

    def split(name: str) -> Split:
        return Split(*(tensors[f"{name}.{part}"] for part in ("images", "labels", "ids")))

    return ImageSplits(
        train=split("train"),
        validation=split("validation"),
        test=split("test"),
        classes=description["classes"],
        mean=tuple(description["mean"]),
        std=tuple(description["std"]),
    )


def _problems(dataset: DataSet[Any], splits: ImageSplits) -> Iterator[str]:
    """Yield what is wrong with the splits; later checks rely on the earlier ones."""
    import torch

    if splits.classes != dataset.classes:
        yield f"it declares {dataset.classes} classes, but loaded {splits.classes}"
    shape = (dataset.channels, dataset.native_size, dataset.native_size)
    for name, split in splits.items():
        images = split.images
        if images.dtype != torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != shape:
            yield (
                f"images of the split `{name}` must be uint8 of shape "
                f"(images, {', '.join(map(str, shape))}), "
                f"got {_describe(images)}"
            )
        if len(images) == 0:
            yield f"the split `{name}` is empty"
        for part, values in (("labels", split.labels), ("ids", split.ids)):
            if values.dtype != torch.int64 or values.shape != (len(images),):
                yield (
                    f"{part} of the split `{name}` must be int64 of shape ({len(images)},), "
                    f"got {_describe(values)}"
                )
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= splits.classes:
            yield (
                f"labels of the split `{name}` must lie in 0..{splits.classes - 1}, "
                f"got {low}..{high}"
            )
    ids = torch.cat([split.ids for _, split in splits.items()])
    repeated = len(ids) - len(ids.unique())
    if repeated:
        yield (
            f"{repeated} image ids appear twice; splits must be disjoint (count the images of a "
            "second file on from those of the first)"
        )
    for part, numbers in (("mean", splits.mean), ("std", splits.std)):
        if len(numbers) != dataset.channels or not all(map(math.isfinite, numbers)):
            yield f"`{part}` needs {dataset.channels} finite numbers, got {numbers}"
    if min(splits.std) <= 0:
        yield f"`std` must be above 0, got {splits.std}"


def _describe(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
