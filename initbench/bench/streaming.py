"""Streaming: batches of a simulated ImageNet, and the memory that they take.

A folder with the layout of ImageNet is filled with links to a few photographs, up to 1,000 in each
of 1,000 classes. Then, each time in a process of its own, images are listed, fingerprinted and
streamed: with a tenth of the images and with all of them, memory must be nearly the same. At last
our batches are compared with those of torchvision's `ImageFolder`, the usual transforms and a
DataLoader with two workers; both sides decode with Pillow and give the same pixels.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from initbench.bench.figure import Figure
from initbench.bench.series import alternate
from initbench.data.device_data import DeviceData, on_device
from initbench.data.files import Report, silent
from initbench.data.image_files import cores
from initbench.data.prepared import prepare
from initbench.data.sets.imagenet import TEST, TRAIN, ImageNet, ImageNetConfig
from initbench.errors import InitbenchError

WORKERS = 2
OURS = f"initbench, {cores()} threads"
THEIRS = f"torchvision, {WORKERS} workers"

_TESTED = 20  # training images for each test image
_GENERATED = 40
_CLASSES = 1000
_CHECKED = 16  # images that must be equal on both sides
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class _Step:
    """What one step took in a fresh process."""

    seconds: float
    images: int
    peak_bytes: int | None  # above what the process began with; None where nobody tells


def streaming_figures(
    root: Path | None,
    *,
    images_per_class: int = 1000,
    batches: int = 20,
    batch_size: int = 256,
    repeats: int = 3,
    report: Report = silent,
) -> list[Figure]:
    """Return images a second, and in the notes the memory taken, of streaming from files.

    Args:
        root: data folder; generated photographs take the place of ImageNet's if it has none.
        images_per_class: training images in each of the 1,000 classes, 20 at least.
        batches: batches streamed each time.
        batch_size: images in a batch.
        repeats: how often each side of the comparison is timed.
        report: is told before each step.

    Raises InitbenchError where the two sides do not deliver the same images.
    """
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="initbench-streaming-") as folder:
        simulated = Path(folder)
        photographs, note = _photographs(root, simulated / "photographs")
        for count in (images_per_class // 10, images_per_class):
            what = f"ImageNet's layout, {count * _CLASSES:,} training images"
            report(f"{what}: linking and streaming", len(figures), 6)
            _link(simulated, photographs, count)
            figures += _alone(what, simulated, batches, batch_size, note)
        report(f"{what}: comparing with torchvision", len(figures), 6)
        figures += _compare(what, simulated, batches, batch_size, repeats, note)
        report("all steps", len(figures), 6)
    return figures


# --- time and memory, each in a fresh process ---------------------------------------------------


def _alone(
    what: str, simulated: Path, batches: int, batch_size: int, note: str
) -> Iterator[Figure]:
    context = multiprocessing.get_context("spawn")  # a fork would begin with our memory
    with ProcessPoolExecutor(1, mp_context=context) as process:
        steps = process.submit(_list_and_stream, simulated, batches, batch_size).result()
    for name, step in zip(("list and fingerprint", "stream"), steps, strict=True):
        memory = (
            "memory unknown"
            if step.peak_bytes is None
            else f"at most {step.peak_bytes / 1e6:,.0f} MB of memory"
        )
        yield Figure(
            f"{what}: {name}",
            OURS,
            (step.seconds,),
            step.images,
            "images",
            f"{memory}; {note}" if note else memory,
        )


def _list_and_stream(simulated: Path, batches: int, batch_size: int) -> tuple[_Step, _Step]:
    before = _memory("VmRSS")
    start = time.perf_counter()
    data = _prepared(simulated)
    listed = time.perf_counter()
    listing_peak = _memory("VmHWM")
    with closing(data.batches_at("train", _order(data, batches, batch_size))) as batches_at:
        for _ in batches_at:
            pass
    streamed = time.perf_counter()
    streaming_peak = _memory("VmHWM")

    def above(peak: int | None) -> int | None:
        return None if peak is None or before is None else peak - before

    images = sum(len(split) for split in (data.train, data.validation, data.test))
    return (
        _Step(listed - start, images, above(listing_peak)),
        _Step(streamed - listed, batches * batch_size, above(streaming_peak)),
    )


def _memory(name: str) -> int | None:
    """Return a line of Linux's account of this process, in bytes: what it has or had at most."""
    if not _STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


# --- beside torchvision -------------------------------------------------------------------------


def _compare(
    what: str, simulated: Path, batches: int, batch_size: int, repeats: int, note: str
) -> Iterator[Figure]:
    data = _prepared(simulated)
    order = _order(data, batches, batch_size)
    theirs = _torchvision_dataset(simulated, data)
    _check_equal(data, order[0][:_CHECKED], theirs)
    loader = DataLoader(
        theirs,
        batch_sampler=[data.train.ids[indices].tolist() for indices in order],
        num_workers=WORKERS,
        persistent_workers=True,
    )
    sides = {
        OURS: lambda: _exhaust(data.batches_at("train", order)),
        THEIRS: lambda: _exhaust(loader),
    }
    for side, seconds in alternate(sides, repeats).items():
        amount = batches * batch_size
        yield Figure(f"{what}: batches", side, tuple(seconds), amount, "images", note)


def _torchvision_dataset(simulated: Path, data: DeviceData) -> Any:
    mean, std = (x.flatten().tolist() for x in (data.mean, data.std))
    usual = Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize(mean, std)])
    return ImageFolder(str(simulated / TRAIN), usual)


def _check_equal(data: DeviceData, indices: torch.Tensor, theirs: Any) -> None:
    """Raise InitbenchError unless both sides make the same of the images at `indices`."""
    for image, label, position in zip(
        *data.batch("train", indices), data.train.ids[indices].tolist(), strict=True
    ):
        other, target = theirs[position]
        if target != label or not torch.equal(other, image):
            raise InitbenchError(
                f"image {position} or its label differs between initbench and torchvision, so "
                "their times cannot be compared; please report this, with both versions"
            )


def _exhaust(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def _prepared(simulated: Path) -> DeviceData:
    return on_device(prepare(ImageNet(ImageNetConfig(held_out=1)), 224, simulated), "cpu")


def _order(data: DeviceData, batches: int, batch_size: int) -> list[torch.Tensor]:
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    return list(order[: batches * batch_size].split(batch_size))


# --- the simulated data set ---------------------------------------------------------------------


def _photographs(root: Path | None, folder: Path) -> tuple[list[Path], str]:
    """Fill `folder` with photographs; return their paths, and a note where they are generated."""
    folder.mkdir()
    found = sorted(root.glob(f"{TEST}/*/*.JPEG"))[:_CLASSES] if root is not None else []
    if found:
        for number, path in enumerate(found):
            shutil.copyfile(path, folder / f"{number}.JPEG")
    else:
        for number in range(_GENERATED):
            _generate(number).save(folder / f"{number}.JPEG", quality=90)
    return sorted(folder.iterdir()), "" if found else "photographs are generated"


def _generate(seed: int) -> Image.Image:
    """Return clouds of 500 x 375 pixels with a little noise, about as large a file as a photo."""
    draws = np.random.default_rng(seed)
    coarse = Image.fromarray(draws.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC))
    noise = draws.integers(-20, 20, smooth.shape)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))


def _link(simulated: Path, photographs: Sequence[Path], images_per_class: int) -> None:
    """Link photographs into class folders, up to `images_per_class`; those there remain."""
    for part, count in ((TRAIN, images_per_class), (TEST, max(images_per_class // _TESTED, 1))):
        for number in range(_CLASSES):
            wnid = f"n{number:08}"
            folder = simulated / part / wnid
            folder.mkdir(parents=True, exist_ok=True)
            for image in range(len(os.listdir(folder)), count):
                source = photographs[(number * count + image) % len(photographs)]
                os.link(source, folder / f"{wnid}_{image}.JPEG")
