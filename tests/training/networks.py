"""Small data and networks that the tests of this room train."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from initbench.data.dataset import ImageSplits, Split
from initbench.data.resident import ResidentData
from initbench.training.recipe import Recipe


def splits(
    train: int = 50, validation: int = 21, test: int = 20, *, channels: int = 1, size: int = 6
) -> ImageSplits:
    """Three classes of noisy images, each brighter in another third of its rows."""
    draws = torch.Generator().manual_seed(7)
    total = train + validation + test
    labels = torch.randint(0, 3, (total,), generator=draws)
    images = torch.randint(0, 120, (total, channels, size, size), generator=draws)
    third = size // 3
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, label * third : (label + 1) * third] += 100
    images = images.to(torch.uint8)

    def part(start: int, count: int) -> Split:
        ids = torch.arange(start, start + count)
        return Split(images[ids], labels[ids], ids)

    return ImageSplits(
        train=part(0, train),
        validation=part(train, validation),
        test=part(train + validation, test),
        classes=3,
        mean=(0.4,) * channels,
        std=(0.3,) * channels,
    )


def data(*args: int, device: str = "cpu", **kwargs: int) -> ResidentData:
    return ResidentData.of(splits(*args, **kwargs), device)


def network(seed: int = 0, *extra: nn.Module, channels: int = 1, size: int = 6) -> nn.Sequential:
    """A small CNN for `splits`; `extra` modules stand behind the convolution."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1),
            *extra,
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(4 * size * size, 3),
        )


def recipe(**changes: Any) -> Recipe:
    """Three epochs of plain SGD in batches of 8."""
    return Recipe.model_validate(
        {
            "optimiser": {"name": "sgd", "lr": 0.05},
            "epochs": 3,
            "batch_size": 8,
            **changes,
        }
    )


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Say whether two state dictionaries hold the same bits."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
