"""A data set, a model and a measure of a third party."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from initbench.api import (
    Citation,
    Config,
    DataSet,
    ImageSplits,
    Model,
    Record,
    RecordMeasure,
    Split,
)


class Stripes(DataSet[Config]):
    """Noisy stripes in one of three directions; no fingerprint is pinned."""

    name = "stripes"
    summary = "stripes: across, down, or both"
    citation = Citation("Nobody, 2026")
    licence = "CC0"
    classes = 3
    channels = 2
    native_size = 6
    version = "1"

    def load(self, root: Path | None) -> ImageSplits:
        draws = torch.Generator().manual_seed(7)
        labels = torch.arange(150) % 3
        images = torch.randint(0, 120, (150, 2, 6, 6), generator=draws, dtype=torch.uint8)
        images[labels != 1, :, ::2, :] += 120
        images[labels != 0, :, :, ::2] += 15
        ids = torch.arange(150)

        def part(begin: int, end: int) -> Split:
            return Split(images[begin:end], labels[begin:end], ids[begin:end])

        mean, std = (0.3, 0.3), (0.25, 0.25)
        return ImageSplits(part(0, 90), part(90, 120), part(120, 150), 3, mean, std)


class OneLayer(Model[Config]):
    """One linear layer."""

    name = "one_layer"
    summary = "softmax regression"
    citation = Citation("Nobody, 2026")
    licence = "CC0"
    version = "1"

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        inputs = channels * image_size * image_size
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(inputs, classes))


class Surprise(RecordMeasure[Config]):
    """Cross entropy on the test split, of the best checkpoint."""

    name = "surprise"
    summary = "cross entropy on the test split"
    unit = "nats"
    direction = "lower"

    def of_record(self, record: Record) -> float:
        return record.final["test_loss.best"]

    def worst(self, record: Record) -> float:
        return math.log(record.classes)
