"""Batches cut on the device hold what a slow loop over images gives."""

from __future__ import annotations

import torch

from tests.training.networks import data, splits


def _slow_image(image: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> list:
    return [
        [[(pixel / 255 - mean[c]) / std[c] for pixel in row] for row in channel]
        for c, channel in enumerate(image.tolist())
    ]


def test_a_batch_is_gathered_and_normalised_as_by_hand() -> None:
    source = splits(channels=2)
    indices = torch.tensor([7, 0, 7, 33])
    images, labels = data(channels=2).batch("train", indices)
    assert images.dtype == torch.float32
    for row, i in enumerate(indices.tolist()):
        expected = torch.tensor(_slow_image(source.train.images[i], source.mean, source.std))
        torch.testing.assert_close(images[row], expected, rtol=1e-6, atol=1e-6)
        assert labels[row] == source.train.labels[i]


def test_what_augments_sees_the_bytes_of_the_batch() -> None:
    resident, indices = data(), torch.tensor([3, 1])
    images, _ = resident.batch("validation", indices, lambda images: 255 - images)
    inverted = 255 - resident.validation.images[indices]
    assert torch.equal(images, resident.normalise(inverted))


def test_the_whole_split_comes_in_order_without_stragglers() -> None:
    resident = data(validation=21)
    batches = list(resident.batches("validation", 10))
    assert [len(labels) for _, labels in batches] == [7, 7, 7]
    assert torch.equal(torch.cat([labels for _, labels in batches]), resident.validation.labels)
    images = torch.cat([images for images, _ in batches])
    assert torch.equal(images, resident.normalise(resident.validation.images))


def test_normalising_leaves_the_resident_bytes_alone() -> None:
    resident = data()
    before = resident.train.images.clone()
    resident.normalise(resident.train.images)
    assert torch.equal(resident.train.images, before)
