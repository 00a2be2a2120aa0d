"""Blurs give the shared vectors, and what a slow and obvious implementation gives."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

from initbench.data.corruptions.blur import (
    defocus_blur,
    gaussian_blur,
    glass_blur,
    motion_blur,
    zoom_blur,
)
from initbench.data.corruptions.warp import streak
from tests.data.corruptions import golden, natural
from tests.data.corruptions.slow_streak import slow_streak

SEVERITIES = range(1, 6)
DETERMINISTIC = [gaussian_blur, defocus_blur, zoom_blur]
BLURS = [*DETERMINISTIC, glass_blur, motion_blur]


@pytest.mark.parametrize("blur", DETERMINISTIC)
def test_vectors_within_one_grey_level(blur) -> None:
    expected = golden.deterministic(blur.__name__)
    for severity in SEVERITIES:
        blurred = blur(golden.images(), severity, RandomState(0))
        assert np.abs(blurred.astype(int) - expected[severity - 1]).max() <= 1


@pytest.mark.parametrize("blur", [gaussian_blur, defocus_blur])
def test_vectors_exactly(blur) -> None:
    expected = golden.deterministic(blur.__name__)
    for severity in SEVERITIES:
        np.testing.assert_array_equal(
            blur(golden.images(), severity, RandomState(0)), expected[severity - 1]
        )


def test_glass_blur_draws_and_shuffles_like_the_original() -> None:
    expected = golden.seeded("glass_blur")
    for severity in SEVERITIES:
        for index, image in enumerate(golden.images()):
            draws = RandomState(1000 + 10 * severity + index)
            blurred = glass_blur(image[None], severity, draws)[0]
            assert np.abs(blurred.astype(int) - expected[severity - 1, index]).max() <= 1


def slow_glass(image: NDArray[np.uint8], sigma: float, passes: int, draws: RandomState):
    """Pixel by pixel, in the order of the original."""

    def smooth(x):
        return ndimage.gaussian_filter(x / 255, (sigma, sigma, 0), mode="nearest", truncate=4)

    pixels = (smooth(image) * 255).astype(np.uint8)
    for _ in range(passes):
        for row in range(31, 1, -1):
            for column in range(31, 1, -1):
                right, down = draws.randint(-1, 1, size=2)
                pixels[row, column] = pixels[row + down, column + right]
    return (smooth(pixels).clip(0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(("severity", "sigma", "passes"), [(1, 0.05, 1), (5, 0.4, 2)])
def test_glass_blur_never_reads_a_pixel_that_was_replaced(severity, sigma, passes) -> None:
    image = natural.tiles(1)[0]
    expected = slow_glass(image, sigma, passes, RandomState(8))
    np.testing.assert_array_equal(glass_blur(image[None], severity, RandomState(8))[0], expected)


def test_streak_is_the_definition_for_every_direction() -> None:
    images = natural.tiles(6)
    angles = np.array([-45.0, 12.3, 44.9, -135.0, -90.0, 0.0])
    expected = [slow_streak(x, 8, 3.0, a) for x, a in zip(images, angles, strict=True)]
    np.testing.assert_allclose(streak(images, 8, 3.0, angles), expected, atol=1e-9)


def test_streak_reads_what_lies_ahead() -> None:
    image = np.zeros((1, 32, 32, 1), dtype=np.uint8)
    image[0, 10, 20] = 255
    rightwards = streak(image, 6, 2.0, np.array([0.0]))[0, :, :, 0]
    assert rightwards[10, 14:20].min() > 0 == rightwards[10, 21:].max()
    upwards = streak(image, 6, 2.0, np.array([-90.0]))[0, :, :, 0]
    assert upwards[11:16, 20].min() > 0 == upwards[:10, 20].max()


def test_motion_blur_draws_one_angle_for_each_image() -> None:
    images = natural.tiles(5)
    blurred = motion_blur(images, 4, RandomState(3))
    angles = RandomState(3).uniform(-45, 45, size=5)
    for image, angle, result in zip(images, angles, blurred, strict=True):
        np.testing.assert_array_equal(result, np.rint(slow_streak(image, 8, 2.0, angle)))


def test_zoom_blur_counts_one_zoom_more_than_it_seems_to() -> None:
    """Severity 1: eight terms, of which the last zoom is by 1.06."""
    image = natural.tiles(1)[0] / 255
    total = image.copy()
    for factor in np.arange(1, 1.06, 0.01):
        kept = ceil(32 / factor)
        top = (32 - kept) // 2
        centre = image[top : top + kept, top : top + kept]
        enlarged = ndimage.zoom(centre, (factor, factor, 1), order=1)
        trim = (len(enlarged) - 32) // 2
        total += enlarged[trim : trim + 32, trim : trim + 32]
    blurred = zoom_blur(natural.tiles(1), 1, RandomState(0))[0]
    assert np.abs(blurred - total / 8 * 255 + 0.5).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_white_and_black_stay(blur, severity) -> None:
    images = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    images[1] = 255
    blurred = blur(images, severity, RandomState(0))
    assert np.abs(blurred.astype(int) - images).max() <= 1


@pytest.mark.parametrize("blur", BLURS)
def test_several_images_keep_shape_order_and_input(blur) -> None:
    images = natural.tiles(7)
    before = images.copy()
    blurred = blur(images, 3, RandomState(1))
    assert blurred.shape == images.shape
    assert blurred.dtype == np.uint8
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(blurred, blur(images, 3, RandomState(1)))
    assert natural.nearest(blurred, images) == list(range(7))


@pytest.mark.parametrize("blur", DETERMINISTIC)
@pytest.mark.parametrize("images", [natural.tiles, natural.cifar10])
def test_change_grows_with_severity(blur, images) -> None:
    photographs = images()
    changes = [
        natural.mean_change(blur(photographs, severity, RandomState(0)), photographs)
        for severity in SEVERITIES
    ]
    assert changes == sorted(set(changes)), changes
