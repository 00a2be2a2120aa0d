"""Images for benchmarks: those of the user's data folder, or generated ones of the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import datasets

from initbench.data.dataset import DataSet, ImageSplits, Split, SplitName
from initbench.data.resize import resize
from initbench.data.sets.cifar10 import CIFAR10
from initbench.errors import UserError


def images_of(
    dataset: DataSet[Any], root: Path | None, images: int | None = None, size: int | None = None
) -> tuple[ImageSplits, str]:
    """Return a data set with at most `images` in each split, and a note if they are generated.

    `root` is the data folder. What cannot be read there is generated, where its size is known.
    Images are brought to `size` x `size` pixels where that is given.
    """
    try:
        splits, note = dataset.load(root), ""
    except UserError as problem:
        sizes = dataset.split_sizes()
        if sizes is None:
            raise
        splits = _generated(dataset, sizes)
        note = f"the images are generated, because: {problem}"

    def first(split: Split) -> Split:
        pixels = split.images[:images]
        pixels = pixels if size is None else resize(pixels, size)
        return Split(pixels, split.labels[:images], split.ids[:images])

    return replace(
        splits,
        train=first(splits.train),
        validation=first(splits.validation),
        test=first(splits.test),
    ), note


def torchvision_dataset(train: Split) -> Any:
    """Return torchvision's data set of these images: MNIST's where they are grey, else CIFAR-10's.

    Its constructor, which takes nothing but files of known digests, is passed by.
    """
    images = train.images[:]
    if images.shape[1] == 1:
        dataset = datasets.MNIST.__new__(datasets.MNIST)
        dataset.data, dataset.targets = images[:, 0], train.labels
    else:
        dataset = datasets.CIFAR10.__new__(datasets.CIFAR10)
        dataset.data = images.permute(0, 2, 3, 1).contiguous().numpy()
        dataset.targets = train.labels.tolist()
    dataset.transform = dataset.target_transform = None
    return dataset


def cifar10_test_images(root: Path | None, images: int) -> tuple[NDArray[np.uint8], str]:
    """Return the first test images of CIFAR-10 (images, 32, 32, 3), and a note as above."""
    splits, note = images_of(CIFAR10(CIFAR10.Config()), root, images)
    return splits.test.images[:].permute(0, 2, 3, 1).contiguous().numpy(), note


def _generated(dataset: DataSet[Any], sizes: Mapping[SplitName, int]) -> ImageSplits:
    """Return random bytes, as many as the data set has."""
    random = torch.Generator().manual_seed(0)

    def split(images: int) -> Split:
        shape = (images, dataset.channels, dataset.native_size, dataset.native_size)
        return Split(
            torch.randint(256, shape, dtype=torch.uint8, generator=random),
            torch.randint(dataset.classes, (images,), generator=random),
            torch.arange(images),
        )

    half = (0.5,) * dataset.channels
    return ImageSplits(
        train=split(sizes["train"]),
        validation=split(sizes["validation"]),
        test=split(sizes["test"]),
        classes=dataset.classes,
        mean=half,
        std=half,
    )
