"""Splits: which images are for training, for validation and for testing.

Random splits follow the authors' code: `torch.utils.data.random_split` with a seeded generator,
which cuts `torch.randperm` into parts (Harder et al., 2023 and Schürholt et al., 2022: seed 42).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from initbench.errors import UserError

if TYPE_CHECKING:
    import torch

SPLIT_SEED = 42


def random_split(
    images: int, sizes: Sequence[int], seed: int = SPLIT_SEED
) -> tuple[torch.Tensor, ...]:
    """Return the positions (int64) of each part of a random split, in the order drawn.

    Raises UserError where the sizes do not add up to `images`.
    """
    import torch

    if sum(sizes) != images:
        raise UserError(
            f"the split into {' / '.join(f'{size:,}' for size in sizes)} images needs "
            f"{sum(sizes):,}, got {images:,}"
        )
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    return tuple(torch.split(order, list(sizes)))


def first_of_each_class(labels: torch.Tensor, count: int, classes: int) -> torch.Tensor:
    """Return the positions (int64, rising) of the first `count` images of each class.

    Raises UserError where a class has fewer.
    """
    import torch

    return _of_each_class(labels, torch.arange(len(labels)), count, classes)


def balanced_draw(
    labels: torch.Tensor, count: int, classes: int, seed: int = SPLIT_SEED
) -> torch.Tensor:
    """Return the positions (int64, rising) of `count` images of each class, drawn at random.

    The draw takes the first `count` images of each class from one random order of all.
    Raises UserError where a class has fewer.
    """
    import torch

    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return _of_each_class(labels, order, count, classes)


def _of_each_class(
    labels: torch.Tensor, order: torch.Tensor, count: int, classes: int
) -> torch.Tensor:
    import torch

    by_class = order[labels[order].sort(stable=True).indices]  # in each class, the order stays
    counts = labels.bincount(minlength=classes)[:classes]
    short = (counts < count).nonzero()
    if len(short):
        label = int(short[0])
        raise UserError(
            f"expected {count:,} images of class {label} at least, got {int(counts[label]):,}"
        )
    first = counts.cumsum(0) - counts  # where each class begins
    chosen = by_class[first[:, None] + torch.arange(count)]  # (classes, count)
    return chosen.flatten().sort().values
