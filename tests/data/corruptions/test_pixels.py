"""Bytes become numbers and bytes again without a change, and colours are those of colorsys."""

from __future__ import annotations

import colorsys
from itertools import product

import numpy as np
import pytest
from numpy.random import RandomState

from initbench.data.corruptions import pixels
from initbench.data.corruptions.pixels import (
    hsv_to_rgb,
    rgb_to_hsv,
    to_bytes,
    transformed,
    unit,
)

LEVELS = np.arange(256, dtype=np.uint8)

# Greys, ties between two channels, one channel off and on: where formulas for the hue differ.
COLOURS = np.array(list(product((0, 1, 51, 128, 254, 255), repeat=3)), dtype=np.uint8)


def test_every_level_survives() -> None:
    x = unit(LEVELS)
    assert x.dtype == np.float64
    assert x.tolist() == [level / 255 for level in range(256)]
    np.testing.assert_array_equal(to_bytes(x), LEVELS)


def test_bytes_are_clipped_and_truncated() -> None:
    x = np.array([-3, -1e-9, 0, 0.999 / 255, 0.5, 1 - 1e-9, 1, 1 + 1e-9, 7])
    assert to_bytes(x).tolist() == [0, 0, 0, 0, 127, 254, 255, 255, 255]


def test_hue_saturation_and_value_are_those_of_colorsys() -> None:
    expected = np.array([colorsys.rgb_to_hsv(*colour) for colour in (COLOURS / 255).tolist()])
    found = np.stack(rgb_to_hsv(unit(COLOURS)), axis=-1)
    assert found.min() >= 0
    assert found[:, 0].max() < 1
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_colours_are_those_of_colorsys() -> None:
    # Hues on both sides of every boundary between sectors; 1 is 0 again.
    hues = [sixth / 6 + by for sixth in range(1, 6) for by in (-1e-3, 0, 1e-3)]
    wheel = np.array(list(product([0, *hues, 1], (0, 0.3, 1), (0, 0.6, 1))))
    expected = [colorsys.hsv_to_rgb(*colour) for colour in wheel.tolist()]
    np.testing.assert_allclose(hsv_to_rgb(*wheel.T), expected, atol=1e-12)


def test_there_and_back_is_the_same_colour() -> None:
    x = unit(COLOURS).reshape(6, 6, 6, 3)
    np.testing.assert_allclose(hsv_to_rgb(*rgb_to_hsv(x)), x, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_change_no_draw(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "_CHUNK", chunk)
    images = RandomState(1).randint(0, 256, size=(7, 4, 4, 3)).astype(np.uint8)
    draws = RandomState(2)
    changed = transformed(images, lambda x: x + draws.normal(size=x.shape))
    np.testing.assert_array_equal(
        changed, to_bytes(unit(images) + RandomState(2).normal(size=images.shape))
    )
