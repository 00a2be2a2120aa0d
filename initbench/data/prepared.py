"""Prepared data: a data set loaded, checked and brought to the size a model needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.data.dataset import DataSet, Images, ImageSplits, Remark, Split, SplitName
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
        return replace(split, images=_at_size(split.images, size))

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
    """Return `splits` as named tensors and a description in plain JSON, to be stored.

    Of image files only what finds them again: names, sizes and the view, no pixels.
    """
    from initbench.data.image_files import ImageFiles

    tensors: dict[str, torch.Tensor] = {}
    files: dict[str, Any] = {}
    for name, split in splits.items():
        if isinstance(split.images, ImageFiles):
            parts, files[name] = split.images.to_tensors()
        else:
            parts = {"images": split.images[:]}
        parts |= {"labels": split.labels, "ids": split.ids}
        tensors |= {f"{name}.{part}": tensor.contiguous() for part, tensor in parts.items()}
    description = {
        "classes": splits.classes,
        "mean": list(splits.mean),
        "std": list(splits.std),
        "remarks": [[remark.mark, remark.reason] for remark in splits.remarks],
        "files": files,
    }
    return tensors, description


def from_tensors(
    tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any], root: Path | None
) -> ImageSplits:
    """Return the splits that `to_tensors` took apart; `root` is the data folder, if any.

    Raises UserError where images are in files, but there is no data folder.
    """
    return ImageSplits(
        train=_split("train", tensors, description, root),
        validation=_split("validation", tensors, description, root),
        test=_split("test", tensors, description, root),
        classes=description["classes"],
        mean=tuple(description["mean"]),
        std=tuple(description["std"]),
        remarks=tuple(Remark(mark, reason) for mark, reason in description.get("remarks", [])),
    )


def _split(
    name: SplitName,
    tensors: Mapping[str, torch.Tensor],
    description: Mapping[str, Any],
    root: Path | None,
) -> Split:
    from initbench.data.image_files import ImageFiles

    start = f"{name}."
    parts = {key.removeprefix(start): x for key, x in tensors.items() if key.startswith(start)}
    files = description.get("files", {}).get(name)
    if files is None:
        return Split(**parts)
    if root is None:
        raise UserError(
            "the images of this data set are decoded while training, but there is no data folder; "
            "set INITBENCH_DATA to the one that the data were prepared from"
        )
    return Split(ImageFiles.from_tensors(parts, files, root), parts["labels"], parts["ids"])


def _at_size(images: Images, size: int) -> Images:
    from initbench.data.image_files import ImageFiles
    from initbench.data.resize import resize

    return images.at_size(size) if isinstance(images, ImageFiles) else resize(images[:], size)


def _problems(dataset: DataSet[Any], splits: ImageSplits) -> Iterator[str]:
    """Yield what is wrong with the splits; later checks rely on the earlier ones."""
    if splits.classes != dataset.classes:
        yield f"it declares {dataset.classes} classes, but loaded {splits.classes}"
    shape = (dataset.channels, dataset.native_size, dataset.native_size)
    for name, split in splits.items():
        yield from _problems_of_split(name, split, shape, dataset)
    yield from _problems_of_parts(dataset.parts(), len(splits.test))
    yield from _problems_of_all_splits(dataset, splits)


def _problems_of_split(
    name: str, split: Split, shape: tuple[int, int, int], dataset: DataSet[Any]
) -> Iterator[str]:
    import torch

    images, classes = split.images, dataset.classes
    of_images, of_labels, labels_shape = (
        (torch.uint8, torch.int64, (len(images),))
        if dataset.task == "classification"
        else (torch.float32, torch.float32, (len(images), classes))
    )
    if images.dtype != of_images or images.ndim != 4 or tuple(images.shape[1:]) != shape:
        yield (
            f"images of the split `{name}` must be {_type(of_images)} of shape "
            f"(images, {', '.join(map(str, shape))}), "
            f"got {_describe(images)}"
        )
    if len(images) == 0:
        yield f"the split `{name}` is empty"
    for part, values, dtype, expected in (
        ("labels", split.labels, of_labels, labels_shape),
        ("ids", split.ids, torch.int64, (len(images),)),
    ):
        if values.dtype != dtype or values.shape != expected:
            yield (
                f"{part} of the split `{name}` must be {_type(dtype)} of shape {expected}, "
                f"got {_describe(values)}"
            )
    if dataset.task == "regression":
        if not bool(split.labels.isfinite().all() and images[:].isfinite().all()):
            yield f"the split `{name}` has values that are not finite"
        return
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= classes:
        yield f"labels of the split `{name}` must lie in 0..{classes - 1}, got {low}..{high}"


def _problems_of_all_splits(dataset: DataSet[Any], splits: ImageSplits) -> Iterator[str]:
    import torch

    from initbench.data.image_files import ImageFiles

    kinds = {isinstance(split.images, ImageFiles) for _, split in splits.items()}
    if kinds != {dataset.streamed}:
        wanted = "`ImageFiles`, as it declares `streamed`" if dataset.streamed else "tensors"
        yield f"the images of all splits must be {wanted}"
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


def _problems_of_parts(parts: Mapping[str, slice], images: int) -> Iterator[str]:
    for name, part in parts.items():
        if part.step or not 0 <= (part.start or 0) < (part.stop or 0) <= images:
            yield f"`{name}` must be a slice of the {images} test images, got {part}"


def _describe(tensor: Images) -> str:
    return f"{_type(tensor.dtype)} of shape {tuple(tensor.shape)}"


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
