"""Batches: resident data beside torchvision's data sets, transforms and DataLoader.

Both sides turn the same bytes into the same float32 batches, in a new random order each epoch; that
they are equal is checked before the clock starts. Ours is what the trainer does, on the one thread
that a trial on the CPU has. Theirs has two worker processes besides, which persist and are started
before the clock, and the older of torchvision's two families of transforms, which is the faster one
here; more batches fetched ahead made no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor
from torchvision.transforms import functional as vision

from initbench.bench.figure import Figure
from initbench.bench.images import images_of, torchvision_dataset
from initbench.bench.series import alternate
from initbench.data.dataset import ImageSplits
from initbench.data.device_data import Batch
from initbench.data.files import Report, silent
from initbench.data.resident import ResidentData
from initbench.data.sets.cifar10 import CIFAR10
from initbench.data.sets.mnist import MNIST
from initbench.errors import InitbenchError
from initbench.streams import Stream, generator
from initbench.training.augmentation import draw
from initbench.training.recipe import Augmentation

WORKERS = 2
OURS = "initbench, 1 thread"
THEIRS = f"torchvision, {WORKERS} workers"

_CHECKED = 64  # images that must be equal on both sides

_DATASETS: dict[str, MNIST | CIFAR10] = {
    "MNIST": MNIST(MNIST.Config()),
    "CIFAR-10": CIFAR10(CIFAR10.Config(normalisation="channel")),
}


@dataclass(frozen=True)
class _Task:
    """One measurement."""

    dataset: str
    augmentation: Augmentation
    what: str


_AS_THEY_ARE = Augmentation()
_CROP_AND_FLIP = Augmentation(crop_padding=4, flip=True)
_TASKS = (
    _Task("MNIST", _AS_THEY_ARE, "MNIST, normalised"),
    _Task("CIFAR-10", _AS_THEY_ARE, "CIFAR-10, normalised"),
    _Task("CIFAR-10", _CROP_AND_FLIP, "CIFAR-10, cropped, flipped, normalised"),
)


def batch_figures(
    root: Path | None,
    *,
    batch_size: int = 128,
    repeats: int = 5,
    images: int | None = None,
    report: Report = silent,
) -> list[Figure]:
    """Return images a second of both sides for each task: one epoch of training images each time.

    Args:
        root: data folder; generated images take the place of a data set that cannot be read there.
        batch_size: images in a batch.
        repeats: epochs timed on each side.
        images: how many training images are used (left out: all).
        report: is told before each task.

    Raises InitbenchError where the two sides do not deliver the same images.
    """
    figures = []
    sources = {name: images_of(dataset, root, images) for name, dataset in _DATASETS.items()}
    for done, task in enumerate(_TASKS):
        report(task.what, done, len(_TASKS))
        with _one_thread():
            figures += _compare(task, *sources[task.dataset], batch_size, repeats)
    report("all tasks", len(_TASKS), len(_TASKS))
    return figures


def _compare(
    task: _Task, splits: ImageSplits, note: str, batch_size: int, repeats: int
) -> list[Figure]:
    data = ResidentData.of(splits)
    normalise = Compose([ToTensor(), Normalize(splits.mean, splits.std)])
    source = torchvision_dataset(data.train)
    _check_equal(task, data, source, normalise)
    crop_and_flip = [RandomCrop(splits.image_size, padding=4), RandomHorizontalFlip()]
    augment = crop_and_flip if task.augmentation is _CROP_AND_FLIP else []
    source.transform = Compose([*augment, normalise])
    loader = DataLoader(
        source, batch_size, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    epochs = count()
    sides = {
        OURS: lambda: _exhaust(_our_epoch(data, task.augmentation, batch_size, next(epochs))),
        THEIRS: lambda: _exhaust(loader),
    }
    return [
        Figure(task.what, side, tuple(seconds), len(data.train), "images", note)
        for side, seconds in alternate(sides, repeats).items()
    ]


def _exhaust(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- the two sides ------------------------------------------------------------------------------


def _our_epoch(
    data: ResidentData, augmentation: Augmentation, batch_size: int, epoch: int
) -> Iterator[Batch]:
    """Yield the batches of an epoch as the trainer has them made."""
    images = len(data.train)
    order = torch.randperm(images, generator=generator(0, Stream.ORDER, epoch))
    draws = draw(augmentation, images, 0, epoch, data.device)
    return data.batches_at("train", order.split(batch_size), draws.apply if draws else None)


def _check_equal(
    task: _Task, data: ResidentData, source: Any, normalise: Callable[[Any], torch.Tensor]
) -> None:
    """Raise InitbenchError unless both sides make the same of the first images.

    torchvision's own crop and flip are given what we drew.
    """
    indices = torch.arange(min(_CHECKED, len(data.train)))
    draws = draw(task.augmentation, len(data.train), 0, 0, data.device)
    (ours,) = data.batches_at("train", [indices], draws.apply if draws else None)
    for i, (image, label) in enumerate(zip(*ours, strict=True)):
        picture, target = source[i]
        if draws is not None:
            padded = vision.pad(picture, draws.padding)
            corner = int(draws.rows[i]), int(draws.columns[i])
            picture = vision.crop(padded, *corner, *image.shape[-2:])
            picture = vision.hflip(picture) if draws.flips[i] else picture
        if target != label or not torch.equal(normalise(picture), image):
            raise InitbenchError(
                f"{task.what}: image {i} or its label differs between initbench and torchvision, "
                "so their times cannot be compared; please report this, with both versions"
            )
