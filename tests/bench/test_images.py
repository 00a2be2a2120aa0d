"""Benchmarks get the user's images, or as many generated ones of the same shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from initbench.bench.images import cifar10_test_images, images_of
from initbench.data.sets.mnist import MNIST
from initbench.errors import UserError

MNIST_HERE = MNIST(MNIST.Config())


def test_images_that_are_not_there_are_generated_in_their_number_and_the_note_says_why() -> None:
    splits, note = images_of(MNIST_HERE, None)
    sizes = {name: len(split) for name, split in splits.items()}
    assert sizes == MNIST_HERE.split_sizes()
    assert splits.train.images.shape[1:] == (1, 28, 28)
    with pytest.raises(UserError) as problem:
        MNIST_HERE.load(None)
    assert note == f"the images are generated, because: {problem.value}"


def test_no_more_images_are_taken_than_asked_for(tmp_path: Path) -> None:
    splits, _ = images_of(MNIST_HERE, tmp_path, 12)
    assert {len(split) for _, split in splits.items()} == {12}
    every, _ = images_of(MNIST_HERE, tmp_path)
    assert torch.equal(splits.train.images[:], every.train.images[:12])


def test_test_images_have_their_channels_last() -> None:
    images, note = cifar10_test_images(None, 5)
    assert images.shape == (5, 32, 32, 3)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert note
