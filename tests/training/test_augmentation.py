"""Crops and flips of a batch are those of a slow loop over images."""

from __future__ import annotations

import pytest
import torch

from initbench.training.augmentation import draw
from initbench.training.recipe import Augmentation
from tests.training.networks import splits

CPU = torch.device("cpu")


def _slow(image: torch.Tensor, padding: int, row: int, column: int, flip: bool) -> torch.Tensor:
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding, dtype=torch.uint8)
    padded[:, padding : padding + height, padding : padding + width] = image
    crop = padded[:, row : row + height, column : column + width]
    return crop.flip(-1) if flip else crop


@pytest.mark.parametrize(("padding", "flip"), [(0, True), (1, False), (4, False), (4, True)])
def test_a_batch_is_augmented_as_by_hand(padding: int, flip: bool) -> None:
    images = splits(channels=2).train.images
    draws = draw(Augmentation(crop_padding=padding, flip=flip), len(images), 3, 1, CPU)
    assert draws is not None
    indices = torch.tensor([4, 0, 31, 4, 49])
    augmented = draws.apply(images[indices], indices)
    assert augmented.dtype == torch.uint8
    for result, i in zip(augmented, indices.tolist(), strict=True):
        shift = draws.rows[i].item(), draws.columns[i].item()
        assert torch.equal(result, _slow(images[i], padding, *shift, bool(draws.flips[i])))


def test_draws_use_the_whole_range_evenly() -> None:
    draws = draw(Augmentation(crop_padding=2, flip=True), 5000, 0, 0, CPU)
    assert draws is not None
    for shifts in (draws.rows, draws.columns):
        counts = shifts.bincount(minlength=5)
        assert len(counts) == 5
        assert 900 < counts.min() <= counts.max() < 1100
    assert 2350 < draws.flips.sum() < 2650
    assert not torch.equal(draws.rows, draws.columns)


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    recipe = Augmentation(crop_padding=4, flip=True)

    def rows(seed: int, epoch: int) -> list[int]:
        draws = draw(recipe, 40, seed, epoch, CPU)
        assert draws is not None
        return draws.rows.tolist()

    torch.manual_seed(1)
    first = rows(0, 0)
    torch.manual_seed(2)
    assert rows(0, 0) == first
    assert rows(0, 1) != first
    assert rows(1, 0) != first


def test_nothing_is_drawn_where_nothing_is_augmented() -> None:
    assert draw(Augmentation(), 10, 0, 0, CPU) is None
