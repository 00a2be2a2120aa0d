"""Crops and flips of a batch are those of a slow loop over images."""

from __future__ import annotations

import pytest
import torch

from initbench.training.augmentation import Draws, draw
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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_neither_shape_nor_layout_in_memory_matters(layout: torch.memory_format) -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (9, 3, 7, 5), dtype=torch.uint8, generator=random)
    draws = draw(Augmentation(crop_padding=2, flip=True), 9, 0, 0, CPU)
    assert draws is not None
    augmented = draws.apply(images.to(memory_format=layout), torch.arange(9))
    for i in range(9):
        shift = draws.rows[i].item(), draws.columns[i].item()
        assert torch.equal(augmented[i], _slow(images[i], 2, *shift, bool(draws.flips[i])))


def test_every_crop_stays_inside_of_the_batch() -> None:
    images = torch.full((2, 1, 3, 3), 7, dtype=torch.uint8)
    corners = torch.tensor([0, 2])
    draws = Draws(1, corners, corners, torch.tensor([False, False]))
    first, last = draws.apply(images, torch.arange(2))
    assert first[0].tolist() == [[0, 0, 0], [0, 7, 7], [0, 7, 7]]
    assert last[0].tolist() == [[7, 7, 0], [7, 7, 0], [0, 0, 0]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_crops_and_flips_as_a_cpu_does() -> None:
    images = splits(channels=3).train.images[:]
    indices = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    results = []
    for device in (CPU, torch.device("cuda")):
        draws = draw(Augmentation(crop_padding=4, flip=True), len(images), 3, 1, device)
        assert draws is not None
        there = indices.to(device)
        results.append(draws.apply(images.to(device).index_select(0, there), there).cpu())
    assert torch.equal(*results)


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
