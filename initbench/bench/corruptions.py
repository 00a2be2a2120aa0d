"""Corruptions: how long making CIFAR-10-C takes, one by one and as a whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from initbench.bench.figure import Figure
from initbench.data.corruptions.making import CHUNK, SEVERITIES, make_corrupted
from initbench.data.corruptions.processes import Chunk, corrupt
from initbench.data.files import Report, silent
from initbench.data.sets.cifar10c import ALL, Corruption

OFFICIAL_IMAGES = 10_000
"""Images of a severity in the official files."""


def corruption_figures(
    images: NDArray[np.uint8],
    names: Sequence[Corruption] = ALL,
    *,
    workers: int = 2,
    repeats: int = 3,
    report: Report = silent,
) -> list[Figure]:
    """Return images a second of each corruption on one thread, and of making all their files.

    Args:
        images: test images (n, 32, 32, 3); all 10,000 for the real thing, fewer for an estimate.
        names: corruptions.
        workers: processes that make the files.
        repeats: how often each corruption is timed; the files are made once.
        report: is told before each measurement.
    """
    figures = []
    steps = len(names) + 1
    for done, name in enumerate(names):
        report(name, done, steps)
        figures.append(_one(name, images, repeats))
    report("all files", len(names), steps)
    figures.append(_whole(names, images, workers))
    report("all files", steps, steps)
    return figures


def _one(name: Corruption, images: NDArray[np.uint8], repeats: int) -> Figure:
    """Time a corruption of all images at all severities, chunk by chunk as when files are made."""
    chunks = [
        (images[start : start + CHUNK], Chunk(name, severity, start // CHUNK))
        for severity in range(1, SEVERITIES + 1)
        for start in range(0, len(images), CHUNK)
    ]
    corrupt(*chunks[0], ())  # imports and tables are no part of it
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for chunk in chunks:
            corrupt(*chunk, ())
        seconds.append(time.perf_counter() - start)
    amount = SEVERITIES * len(images)
    figure = Figure(f"CIFAR-10-C, {name}", "initbench, 1 thread", tuple(seconds), amount, "images")
    return replace(figure, note=f"{OFFICIAL_IMAGES / figure.rate:.2f} s for 10,000 images")


def _whole(names: Sequence[Corruption], images: NDArray[np.uint8], workers: int) -> Figure:
    """Time the making of files, with starting processes and writing to disk."""
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        labels = np.zeros(len(images), dtype=np.int64)
        make_corrupted(images, labels, Path(folder) / "made", names, workers=workers)
        seconds = time.perf_counter() - start
    amount = len(names) * SEVERITIES * len(images)
    side = f"initbench, {workers} processes"
    figure = Figure(f"CIFAR-10-C, {len(names)} files", side, (seconds,), amount, "images")
    minutes = len(names) * SEVERITIES * OFFICIAL_IMAGES / figure.rate / 60
    return replace(figure, note=f"{minutes:.1f} minutes for 10,000 test images")
