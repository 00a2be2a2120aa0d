"""Digital changes are the shared vectors', and what slow and obvious implementations give."""

from __future__ import annotations

import colorsys
from math import floor
from statistics import fmean

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from initbench.data.corruptions.digital import (
    brightness,
    contrast,
    jpeg_compression,
    pixelate,
    saturate,
)
from tests.data.corruptions import golden, natural

SEVERITIES = range(1, 6)
EXACT = [contrast, brightness, saturate, pixelate]
CHANGES = [*EXACT, jpeg_compression]


@pytest.mark.parametrize("change", EXACT)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_vectors_exactly(change, severity) -> None:
    np.testing.assert_array_equal(
        change(golden.images(), severity, RandomState(0)),
        golden.deterministic(change.__name__)[severity - 1],
    )


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_vectors_within_a_grey_level_on_average(severity) -> None:
    found = jpeg_compression(golden.images(), severity, RandomState(0))
    expected = golden.deterministic("jpeg_compression")[severity - 1]
    assert natural.mean_change(found, expected) < 1


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_drawn(change) -> None:
    draws = RandomState(3)
    change(golden.images(), 3, draws)
    assert draws.randint(2**31) == RandomState(3).randint(2**31)


@pytest.mark.parametrize("change", CHANGES)
def test_each_image_is_changed_by_itself(change) -> None:
    images = np.concatenate([golden.images(), natural.tiles(40)])
    one_by_one = np.concatenate([change(image[None], 5, RandomState(0)) for image in images])
    np.testing.assert_array_equal(change(images, 5, RandomState(0)), one_by_one)


@pytest.mark.parametrize("change", [contrast, brightness, jpeg_compression])
@pytest.mark.parametrize("images", [natural.tiles, natural.cifar10])
def test_change_grows_with_severity(change, images) -> None:
    photographs = images()
    changes = [
        natural.mean_change(change(photographs, severity, RandomState(0)), photographs)
        for severity in SEVERITIES
    ]
    assert changes == sorted(set(changes)), changes


@pytest.mark.parametrize(("severity", "factor"), [(1, 0.75), (5, 0.15)])
def test_contrast_is_towards_the_mean_of_channel_and_image(severity, factor) -> None:
    images = natural.tiles(3)
    for image, found in zip(images, contrast(images, severity, RandomState(0)), strict=True):
        for channel in range(3):
            levels = image[..., channel].ravel().tolist()
            mean = fmean(levels)
            expected = [floor((level - mean) * factor + mean) for level in levels]
            np.testing.assert_allclose(found[..., channel].ravel(), expected, atol=1)


def slow_colours(images: NDArray[np.uint8], change) -> NDArray[np.int64]:
    """`change` the hue, saturation and value of every pixel."""
    colours = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel)))
        for pixel in (images.reshape(-1, 3) / 255).tolist()
    ]
    return np.floor(np.array(colours) * 255).astype(int).reshape(images.shape)


@pytest.mark.parametrize(("severity", "added"), [(1, 0.05), (5, 0.3)])
def test_brightness_adds_to_the_value(severity, added) -> None:
    images = np.concatenate([golden.images(), natural.tiles(2)])
    expected = slow_colours(images, lambda h, s, v: (h, s, min(1, v + added)))
    found = brightness(images, severity, RandomState(0))
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(("severity", "a", "b"), [(2, 0.1, 0), (4, 2, 0.1), (5, 2.5, 0.2)])
def test_saturate_changes_the_saturation(severity, a, b) -> None:
    images = np.concatenate([golden.images(), natural.tiles(2)])
    expected = slow_colours(images, lambda h, s, v: (h, min(1, a * s + b), v))
    found = saturate(images, severity, RandomState(0))
    assert np.abs(found - expected).max() <= 1


def test_saturate_tints_greys_red_where_it_adds() -> None:
    grey = np.full((1, 32, 32, 3), 200, np.uint8)
    assert (saturate(grey, 3, RandomState(0)) == 200).all()
    assert saturate(grey, 4, RandomState(0))[0, 0, 0].tolist() == [200, 180, 180]


def slow_box(line: list[int], size: int) -> list[int]:
    """The mean, halves up, of all pixels whose centres lie in the box of each new pixel."""
    length = len(line)
    reach = max(length, size)  # in units of a pixel / (2 size), like all distances here
    result = []
    for place in range(size):
        middle = (2 * place + 1) * length
        inside = [
            level
            for position, level in enumerate(line)
            if -reach < (2 * position + 1) * size - middle <= reach
        ]
        result.append((2 * sum(inside) + len(inside)) // (2 * len(inside)))
    return result


def slow_pixelate(channel: list[list[int]], side: int) -> list[list[int]]:
    for size in (side, 32):
        narrow = [slow_box(row, size) for row in channel]
        columns = [slow_box(list(column), size) for column in zip(*narrow, strict=True)]
        channel = [list(row) for row in zip(*columns, strict=True)]
    return channel


@pytest.mark.parametrize(("severity", "side"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelate_is_a_box_down_and_a_box_up(severity, side) -> None:
    images = np.stack([golden.images()[2], natural.tiles(1)[0]])  # noise shows how halves round
    for image, found in zip(images, pixelate(images, severity, RandomState(0)), strict=True):
        for channel in range(3):
            expected = slow_pixelate(image[..., channel].tolist(), side)
            assert found[..., channel].tolist() == expected


@pytest.mark.parametrize("change", [contrast, pixelate, jpeg_compression])
def test_a_flat_image_stays(change) -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    flat = np.broadcast_to(levels[:, None, None, None], (len(levels), 32, 32, 3))
    for severity in SEVERITIES:
        assert np.abs(change(flat, severity, RandomState(0)).astype(int) - flat).max() <= 1


def test_jpeg_halves_the_resolution_of_colour_but_not_of_light() -> None:
    rows = np.indices((32, 32))[0] % 2 * 255
    stripes = np.repeat(rows[..., None], 3, axis=-1).astype(np.uint8)
    colours = stripes.copy()
    colours[..., 1] = 128  # purple and green, of much the same lightness
    colours[..., 2] = stripes[..., 0]
    grey, coloured = jpeg_compression(np.stack([stripes, colours]), 1, RandomState(0)).astype(int)

    def step(image: NDArray[np.int64], channel: int) -> float:
        return abs(float((image[1::2, :, channel] - image[::2, :, channel]).mean()))

    assert step(grey, 0) > 240
    assert step(coloured, 2) < 128
