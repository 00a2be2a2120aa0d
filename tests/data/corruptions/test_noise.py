"""Noise is the shared vectors', drawn value by value, and as strong as published."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from numpy.random import RandomState

from initbench.data.corruptions.noise import (
    gaussian_noise,
    impulse_noise,
    shot_noise,
    speckle_noise,
)
from tests.data.corruptions import golden, natural

SEVERITIES = range(1, 6)
ADDED = [gaussian_noise, shot_noise, speckle_noise]
NOISES = [*ADDED, impulse_noise]


@pytest.mark.parametrize("noise", ADDED)
def test_vectors_exactly(noise) -> None:
    expected = golden.seeded(noise.__name__)
    for severity in SEVERITIES:
        for index, image in enumerate(golden.images()):
            found = noise(image[None], severity, golden.draws(severity, index))[0]
            np.testing.assert_array_equal(found, expected[severity - 1, index])


SLOW: dict[Callable, Callable[[float, RandomState], float]] = {
    gaussian_noise: lambda x, draws: x + draws.normal(0, 0.08),
    shot_noise: lambda x, draws: draws.poisson(100 * x) / 100,
    speckle_noise: lambda x, draws: x + x * draws.normal(0, 0.12),
}
"""One value at severity 3."""


@pytest.mark.parametrize("noise", ADDED)
def test_it_is_the_definition_value_by_value(noise) -> None:
    images = natural.tiles(2)
    draws = RandomState(5)
    expected = [
        int(255 * min(1, max(0, SLOW[noise](level / 255, draws))))
        for level in images.ravel().tolist()
    ]
    assert noise(images, 3, RandomState(5)).ravel().tolist() == expected


@pytest.mark.parametrize("noise", NOISES)
def test_several_images_are_what_each_is_after_the_other(noise) -> None:
    images = natural.tiles(40)
    draws = RandomState(6)
    one_by_one = np.concatenate([noise(image[None], 4, draws) for image in images])
    np.testing.assert_array_equal(noise(images, 4, RandomState(6)), one_by_one)


@pytest.mark.parametrize("noise", NOISES)
def test_another_stream_gives_other_noise(noise) -> None:
    images = natural.tiles(2)
    assert (noise(images, 3, RandomState(1)) != noise(images, 3, RandomState(2))).any()


@pytest.mark.parametrize("noise", [shot_noise, speckle_noise])
def test_black_stays_where_noise_grows_with_light(noise) -> None:
    assert not noise(np.zeros((3, 32, 32, 3), np.uint8), 5, RandomState(0)).any()


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("images", [natural.tiles, natural.cifar10])
def test_change_grows_with_severity(noise, images) -> None:
    photographs = images()
    changes = [
        natural.mean_change(noise(photographs, severity, RandomState(0)), photographs)
        for severity in SEVERITIES
    ]
    assert changes == sorted(set(changes)), changes


SHARES = [(1, 0.01), (2, 0.02), (3, 0.03), (4, 0.05), (5, 0.07)]


def assert_share(found: np.ndarray, expected: float) -> None:
    """A share of independent events: within five standard deviations of `expected`."""
    deviation = sqrt(expected * (1 - expected) / found.size)
    assert abs(found.mean() - expected) < 5 * deviation


@pytest.mark.parametrize(("severity", "share"), SHARES)
def test_impulses_are_half_salt_half_pepper(severity: int, share: float) -> None:
    grey = np.full((200, 32, 32, 3), 128, np.uint8)
    struck = impulse_noise(grey, severity, RandomState(severity))
    assert set(np.unique(struck)) == {0, 128, 255}
    assert_share(struck == 0, share / 2)
    assert_share(struck == 255, share / 2)


def test_impulses_strike_each_channel_and_each_place_alike() -> None:
    grey = np.full((400, 32, 32, 3), 128, np.uint8)
    struck = impulse_noise(grey, 5, RandomState(7)) != 128
    for channel in range(3):
        assert_share(struck[..., channel], 0.07)
        assert_share(struck[..., channel] & struck[..., channel - 1], 0.07**2)
    for half in (struck[:, :16], struck[:, 16:], struck[:, :, :16], struck[:, :, 16:]):
        assert_share(half, 0.07)


def test_impulses_leave_all_other_values_alone() -> None:
    images = natural.tiles(20)
    struck = impulse_noise(images, 5, RandomState(8))
    changed = struck != images
    assert np.isin(struck[changed], (0, 255)).all()
    assert 0.05 < changed.mean() < 0.09
