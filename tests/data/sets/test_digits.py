"""Digits is the same for everybody: real digits, a fixed fair split, pinned numbers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from initbench.data.dataset import ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load
from initbench.data.sets.digits import Digits


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load(Digits(Digits.Config()), None)


def test_the_splits_are_disjoint_and_use_every_image(splits: ImageSplits) -> None:
    ids = [i for _, split in splits.items() for i in split.ids.tolist()]
    assert sorted(ids) == list(range(1797))
    assert [len(split) for _, split in splits.items()] == [1197, 300, 300]


def test_held_out_splits_are_balanced(splits: ImageSplits) -> None:
    assert splits.validation.labels.bincount().tolist() == [30] * 10
    assert splits.test.labels.bincount().tolist() == [30] * 10
    counts = splits.train.labels.bincount()
    assert counts.min() > 110
    assert counts.max() < 125


def test_images_are_those_of_scikit_learn_rounded_to_bytes(splits: ImageSplits) -> None:
    bunch = load_digits()
    for _, split in splits.items():
        for image, i in zip(split.images.tolist(), split.ids.tolist(), strict=True):
            assert image == [[[round(v * 255 / 16) for v in row] for row in bunch.images[i]]]
        assert split.labels.tolist() == bunch.target[split.ids.numpy()].tolist()


def test_the_split_is_pinned(splits: ImageSplits) -> None:
    assert splits.test.ids[:8].tolist() == [1, 4, 13, 19, 24, 30, 31, 37]
    assert fingerprint(splits) == Digits(Digits.Config()).pinned_fingerprint()


def test_normalisation_is_that_of_the_training_pixels(splits: ImageSplits) -> None:
    pixels = splits.train.images.numpy() / 255
    assert splits.mean == pytest.approx((np.mean(pixels),), abs=1e-5)
    assert splits.std == pytest.approx((np.std(pixels),), abs=1e-5)
