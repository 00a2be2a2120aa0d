"""Contact sheets show the pixels themselves, enlarged without smoothing, in labelled rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from initbench.data.contact_sheet import TILE, Row, contact_sheet, draw
from initbench.data.sets.digits import Digits
from initbench.plugin.initialiser import Config
from tests.data.official_cifar10 import write_cifar10
from tests.data.sets.test_cifar10c import COUNT, TWO, small, write_official

RANDOM = np.random.default_rng(0)


def find(sheet: Image.Image, tile: np.ndarray, enlarged: int) -> list[tuple[int, int]]:
    """Where (top, left) an image stands on a sheet, enlarged so many times."""
    pixels = np.asarray(sheet)
    wanted = np.asarray(tile).repeat(enlarged, 0).repeat(enlarged, 1)
    height, width = wanted.shape[:2]
    rows, columns = pixels.shape[0] - height + 1, pixels.shape[1] - width + 1
    candidates = np.ones((rows, columns), dtype=bool)
    for y in range(0, height, enlarged):  # the diagonal first: comparing everything is slow
        x = y * width // height
        candidates &= (pixels[y : y + rows, x : x + columns] == wanted[y, x]).all(-1)
    return [
        (int(y), int(x))
        for y, x in np.argwhere(candidates)
        if np.array_equal(pixels[y : y + height, x : x + width], wanted)
    ]


def images(count: int, size: int, channels: int = 3) -> np.ndarray:
    return RANDOM.integers(0, 255, (count, size, size, channels), dtype=np.uint8)


def test_rows_lie_below_and_images_beside_each_other() -> None:
    tiles = images(4, 32)
    sheet = draw([Row("first", list(tiles[:2])), Row("second", list(tiles[2:]))], ["left", "right"])
    places = [find(sheet, tile, 3) for tile in tiles]
    assert [len(place) for place in places] == [1] * 4
    (a,), (b,), (c,), (d,) = places
    assert a[0] == b[0] < c[0] == d[0]
    assert a[1] == c[1] < b[1] == d[1]
    assert b[1] - a[1] > 3 * 32
    assert c[0] - a[0] > 3 * 32


@pytest.mark.parametrize(("size", "enlarged"), [(8, 12), (28, 4), (32, 3), (96, 1), (224, 1)])
def test_small_images_are_enlarged_by_whole_factors(size: int, enlarged: int) -> None:
    tile = images(1, size)[0]
    assert size * enlarged >= TILE
    assert find(draw([Row("one", [tile])]), tile, enlarged)


def test_grey_images_stay_grey() -> None:
    tile = images(1, 28, 1)[0]
    assert find(draw([Row("one", [tile])]), tile.repeat(3, -1), 4)


def test_labels_and_headings_are_written() -> None:
    tile = list(images(1, 32))
    blank = np.asarray(draw([Row("", tile)], [""]))
    labelled = np.asarray(draw([Row("gaussian_noise", tile)], [""]))
    headed = np.asarray(draw([Row("", tile)], ["clean"]))
    assert labelled.shape[1] > blank.shape[1]
    assert (labelled[:, : labelled.shape[1] - blank.shape[1]] < 128).any()
    assert (headed[: blank.shape[0] - 96] != blank[: blank.shape[0] - 96]).any()


def test_a_class_is_a_row_of_its_first_images() -> None:
    dataset = Digits(Config())
    test = dataset.load(None).test
    sheet = contact_sheet(dataset, None, count=2)
    rows = []
    for label in range(10):
        first, second = test.images[:][test.labels == label][:2].permute(0, 2, 3, 1).numpy()
        (place,), (beside,) = (find(sheet, x.repeat(3, -1), 12) for x in (first, second))
        assert place[0] == beside[0]
        rows.append(place[0])
    assert rows == sorted(set(rows))


def test_corruptions_are_rows_and_severities_columns(tmp_path: Path) -> None:
    clean, _ = write_cifar10(tmp_path, COUNT)
    arrays = write_official(tmp_path, *TWO)
    sheet = contact_sheet(small(), tmp_path, count=2)
    tops = []
    for name in TWO:
        variants = [
            *(
                clean[5 * COUNT + i].transpose(1, 2, 0) if s < 0 else arrays[name][s * COUNT + i]
                for i in range(2)
                for s in range(-1, 5)
            ),
        ]
        places = [find(sheet, tile, 3) for tile in variants]
        row = {top for top, _ in places[1]}
        lefts = [next(left for top, left in place if top in row) for place in places]
        assert lefts == sorted(set(lefts))
        tops.append(places[1][0][0])
    assert tops == sorted(set(tops))
