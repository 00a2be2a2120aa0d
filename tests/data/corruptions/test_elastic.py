"""Elastic transforms give the shared vectors, and move pixels as far as they say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import ndimage

from initbench.data.corruptions.elastic import elastic_transform
from initbench.data.corruptions.warp import interpolate
from tests.data.corruptions import golden, natural


class Chosen(RandomState):
    """A stream whose uniform numbers are the fractions -1..1 of their range that are given."""

    def __init__(self, *fractions) -> None:
        super().__init__(0)
        self.fractions = list(fractions)

    def uniform(self, low=0.0, high=1.0, size=None):
        assert low == -high
        return np.broadcast_to(np.asarray(self.fractions.pop(0)), size) * high


def test_vectors_within_one_grey_level() -> None:
    expected = golden.seeded("elastic_transform")
    for severity in range(1, 6):
        for index, image in enumerate(golden.images()):
            draws = RandomState(1000 + 10 * severity + index)
            moved = elastic_transform(image[None], severity, draws)[0]
            assert np.abs(moved.astype(int) - expected[severity - 1, index]).max() <= 1


def test_the_affine_map_moves_the_image_where_its_corners_go() -> None:
    """All corners go 2.56 pixels right and 2.56 up, so the image does."""
    images = natural.tiles(3)
    right_and_up = np.array([1.0, -1.0])
    moved = elastic_transform(images, 1, Chosen(right_and_up, 0.0, 0.0))
    shifted = ndimage.shift(images / 1.0, (0, -2.56, 2.56, 0), order=1, mode="mirror")
    assert np.abs(moved - shifted + 0.5).max() <= 0.5 + 1e-3


def test_rows_and_columns_are_displaced_by_their_own_fields() -> None:
    """A flat field of 1 displaces by `strength`: columns by the first field, rows by the second."""
    images = natural.tiles(3)
    moved = elastic_transform(images, 5, Chosen(0.0, 1.0, -0.5))
    shifted = ndimage.shift(images / 1.0, (0, 1.6, -3.2, 0), order=1, mode="reflect")
    assert np.abs(moved - shifted + 0.5).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("border", "mode"), [("reflect", "mirror"), ("symmetric", "reflect")])
def test_interpolation_is_that_of_scipy_inside_and_outside(border, mode) -> None:
    draws = np.random.default_rng(5)
    images = natural.tiles(4) / 255
    rows, columns = draws.uniform(-30, 61, (2, 4, 32, 32))
    read = interpolate(images, rows, columns, border)
    for image, channel in product(range(4), range(3)):
        expected = ndimage.map_coordinates(
            images[image, :, :, channel], [rows[image], columns[image]], order=1, mode=mode
        )
        np.testing.assert_allclose(read[image, :, :, channel], expected, atol=1e-12)


REACH = [2.56, 2.24, 1.92, 1.6, 0.96]


@pytest.mark.parametrize("severity", range(1, 6))
def test_even_the_largest_moves_of_the_corners_are_those_of_scipy(severity) -> None:
    image = natural.tiles(3)[1]
    moves = np.array(list(product((-1.0, 1.0), repeat=6))).reshape(64, 3, 2)
    moved = elastic_transform(np.repeat(image[None], 64, axis=0), severity, Chosen(moves, 0, 0))
    corners = np.array([(26, 26, 1), (26, 6, 1), (6, 6, 1)])
    for result, move in zip(moved, moves, strict=True):
        target = np.array([(26, 26), (26, 6), (6, 6)]) + REACH[severity - 1] * move
        forth = np.vstack([np.linalg.solve(corners, target).T, (0, 0, 1)])
        back = np.linalg.inv(forth)  # of (column, row, 1)
        rows_first = back[[1, 0]][:, [1, 0]]
        for channel in range(3):
            expected = ndimage.affine_transform(
                image[..., channel] / 1.0, rows_first, back[[1, 0], 2], order=1, mode="mirror"
            )
            assert np.abs(result[..., channel] - expected + 0.5).max() <= 0.5 + 1e-3


def test_several_images_move_differently_and_keep_their_order() -> None:
    images = np.repeat(natural.tiles(1), 6, axis=0)
    before = images.copy()
    moved = elastic_transform(images, 3, RandomState(1))
    assert len(np.unique(moved, axis=0)) == 6
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(moved, elastic_transform(images, 3, RandomState(1)))
    different = natural.tiles(6)
    assert natural.nearest(elastic_transform(different, 3, RandomState(1)), different) == [
        *range(6)
    ]


def test_white_and_black_stay() -> None:
    images = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    images[1] = 255
    for severity in range(1, 6):
        np.testing.assert_array_equal(elastic_transform(images, severity, RandomState(0)), images)
