"""A fingerprint changes with anything a training could see, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from initbench.data.dataset import ImageSplits, Split
from initbench.data.fingerprint import fingerprint
from tests.training.networks import splits


def _changes() -> dict[str, ImageSplits]:
    base = splits()
    train = base.train
    images = train.images.clone()
    images[3, 0, 2, 1] ^= 1
    labels = train.labels.clone()
    labels[5] = (labels[5] + 1) % 3
    ids = train.ids.flip(0)
    shorter = Split(train.images[:-1], train.labels[:-1], train.ids[:-1])
    return {
        "one bit of one pixel": replace(base, train=replace(train, images=images)),
        "one label": replace(base, train=replace(train, labels=labels)),
        "ids": replace(base, train=replace(train, ids=ids)),
        "an image less": replace(base, train=shorter),
        "exchanged splits": replace(base, validation=base.test, test=base.validation),
        "classes": replace(base, classes=4),
        "mean": replace(base, mean=(0.41,)),
        "std": replace(base, std=(0.31,)),
    }


@pytest.mark.parametrize("change", _changes())
def test_every_change_is_seen(change: str) -> None:
    assert fingerprint(_changes()[change]) != fingerprint(splits())


def test_memory_layout_does_not_matter() -> None:
    base = splits(channels=3)
    images = base.train.images.to(memory_format=torch.channels_last)
    assert images.stride() != base.train.images.stride()
    assert fingerprint(replace(base, train=replace(base.train, images=images))) == fingerprint(base)
