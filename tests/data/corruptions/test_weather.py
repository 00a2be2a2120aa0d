"""Snow, frost, fog and spatter follow their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import ndimage

from initbench.data.corruptions.edges import canny, distance
from initbench.data.corruptions.frost_texture import frost_texture
from initbench.data.corruptions.plasma import plasma
from initbench.data.corruptions.spatter import spatter
from initbench.data.corruptions.weather import fog, frost, snow
from initbench.errors import UserError
from tests.data.corruptions import golden, natural
from tests.data.corruptions.slow_streak import slow_streak

SEVERITIES = range(1, 6)
WEATHER = [snow, frost, fog, spatter]


@pytest.mark.parametrize("weather", [fog, spatter])
def test_vectors_within_one_grey_level(weather) -> None:
    expected = golden.seeded(weather.__name__)
    for severity in SEVERITIES:
        for index, image in enumerate(golden.images()):
            draws = RandomState(1000 + 10 * severity + index)
            result = weather(image[None], severity, draws)[0]
            assert np.abs(result.astype(int) - expected[severity - 1, index]).max() <= 1


@pytest.mark.parametrize("weather", WEATHER)
def test_several_images_differ_and_keep_shape_order_and_input(weather) -> None:
    images = np.concatenate([natural.tiles(5)] * 2)
    before = images.copy()
    result = weather(images, 2, RandomState(1))
    assert result.shape == images.shape
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(result, weather(images, 2, RandomState(1)))
    for first, second in zip(result[:5], result[5:], strict=True):
        assert (first != second).any()
    assert natural.nearest(result[:5], images[:5]) == list(range(5))


# Fog


def slow_plasma(decay: float, draws: RandomState) -> NDArray[np.float64]:
    """Diamond-square on a grid that continues across its border, point by point."""
    heights = np.zeros((32, 32))
    amplitude, step = 100.0, 32
    while step >= 2:
        half = step // 2
        # Squares have their corners at multiples of a step; one draw a point, row by row.
        for row0, column0, diagonal in ((half, half, True), (0, half, False), (half, 0, False)):
            noise = draws.uniform(-amplitude, amplitude, size=(32 // step, 32 // step))
            for i in range(32 // step):
                for j in range(32 // step):
                    row, column = row0 + i * step, column0 + j * step
                    around = (
                        [(-half, -half), (-half, half), (half, -half), (half, half)]
                        if diagonal
                        else [(-half, 0), (half, 0), (0, -half), (0, half)]
                    )
                    mean = sum(heights[(row + y) % 32, (column + x) % 32] for y, x in around) / 4
                    heights[row, column] = mean + amplitude * noise[i, j]
        amplitude /= decay
        step = half
    heights -= heights.min()
    return heights / heights.max()


@pytest.mark.parametrize("decay", [3, 1.75])
def test_plasma_is_diamond_square_on_a_periodic_grid(decay) -> None:
    made = plasma(1, decay, RandomState(4))[0]
    np.testing.assert_allclose(made, slow_plasma(decay, RandomState(4)), atol=1e-12)


@pytest.mark.parametrize("images", [natural.tiles, natural.cifar10])
def test_change_by_fog_grows_with_severity(images) -> None:
    photographs = images()
    changes = [
        natural.mean_change(fog(photographs, severity, RandomState(0)), photographs)
        for severity in SEVERITIES
    ]
    assert changes == sorted(set(changes)), changes


def test_fog_never_exceeds_the_largest_value_of_the_image() -> None:
    images = natural.tiles(20) // 2
    foggy = fog(images, 5, RandomState(0))
    assert (foggy.max(axis=(1, 2, 3)) <= images.max(axis=(1, 2, 3))).all()


def test_black_stays_black_in_fog() -> None:
    black = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fog(black, 5, RandomState(0)), black)


# Snow

SNOW = {
    1: (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    4: (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    5: (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
}


def slow_snow(image: NDArray[np.uint8], severity: int, draws: RandomState) -> NDArray[np.float64]:
    """One image, from the definition, in grey levels that are not cut yet."""
    mean, deviation, factor, threshold, radius, sigma, weight = SNOW[severity]
    noise = draws.normal(mean, deviation, size=(32, 32))
    kept = int(np.ceil(32 / factor))
    top = (32 - kept) // 2
    flakes = ndimage.zoom(noise[top : top + kept, top : top + kept], factor, order=1)
    trim = (len(flakes) - 32) // 2
    flakes = flakes[trim : trim + 32, trim : trim + 32]
    flakes = np.where(flakes < threshold, 0, flakes)
    levels = (flakes.clip(0, 1) * 255).astype(np.uint8)[..., None]
    layer = np.rint(slow_streak(levels, radius, sigma, draws.uniform(-135, -45))) / 255
    x = image / 255
    grey = (x * [0.299, 0.587, 0.114]).sum(axis=-1, keepdims=True)
    ground = weight * x + (1 - weight) * np.maximum(x, 1.5 * grey + 0.5)
    return (ground + layer + np.rot90(layer, 2)).clip(0, 1) * 255


@pytest.mark.parametrize("severity", sorted(SNOW))
def test_snow_is_its_definition(severity) -> None:
    image = natural.tiles(10)[9]
    snowy = snow(image[None], severity, RandomState(6))[0]
    np.testing.assert_allclose(
        snowy, slow_snow(image, severity, RandomState(6)) - 0.5, atol=0.5 + 1e-6
    )


def test_snow_brightens_and_its_streaks_are_near_the_vertical() -> None:
    """Of a black image, what is left is 0.5 of the ground's share and the streaks."""
    black = np.zeros((200, 32, 32, 3), dtype=np.uint8)
    streaks = snow(black, 4, RandomState(0))[..., 0].astype(float)
    assert streaks.min() >= int(0.15 * 0.5 * 255)
    assert (streaks == streaks[:, ::-1, ::-1]).mean() > 0.99  # the same, turned by 180 degrees
    along = np.abs(np.diff(streaks, axis=1)).mean()
    across = np.abs(np.diff(streaks, axis=2)).mean()
    assert along < 0.8 * across


# Frost


def photographs() -> list[NDArray[np.uint8]]:
    """Six photographs that hold their own number and the place of each pixel of the reduced one."""
    shapes = [(400, 300), (231, 504), (170, 170), (505, 199), (600, 600), (300, 300)]
    made = []
    for number, (height, width) in enumerate(shapes):
        photograph = np.full((height, width, 3), 255, dtype=np.uint8)
        rows, columns = np.mgrid[: len(range(2, height, 5)), : len(range(2, width, 5))]
        photograph[2::5, 2::5] = np.stack([np.full_like(rows, number), rows, columns], axis=-1)
        made.append(photograph)
    return made


def test_frost_crops_the_first_five_photographs_at_a_fifth() -> None:
    black = np.zeros((300, 32, 32, 3), dtype=np.uint8)
    frosted = frost(black, 5, RandomState(0), photographs())
    draws = RandomState(0)
    which = draws.randint(5, size=300)
    sizes = np.array([(80, 60), (46, 101), (34, 34), (101, 40), (120, 120)])[which]
    top = draws.randint(0, sizes[:, 0] - 32)
    left = draws.randint(0, sizes[:, 1] - 32)
    assert set(which) == set(range(5))
    expected = np.empty((300, 32, 32, 3))
    expected[..., 0] = which[:, None, None]
    expected[..., 1] = (top[:, None] + np.arange(32))[:, :, None]
    expected[..., 2] = (left[:, None] + np.arange(32))[:, None, :]
    np.testing.assert_array_equal(frosted, (0.45 * expected).astype(np.uint8))


def test_frost_of_one_image_is_drawn_in_the_order_of_the_original() -> None:
    images = natural.tiles(20)
    for seed, image in enumerate(images):
        frosted = frost(image[None], 3, RandomState(seed), photographs())[0]
        draws = RandomState(seed)
        photograph = photographs()[draws.randint(5)][2::5, 2::5]
        top = draws.randint(0, photograph.shape[0] - 32)
        left = draws.randint(0, photograph.shape[1] - 32)
        crop = photograph[top : top + 32, left : left + 32]
        expected = (0.9 * image + 0.4 * crop).clip(0, 255).astype(np.uint8)
        np.testing.assert_array_equal(frosted, expected)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda all_six: all_six[:4], "first 5 photographs"),
        (lambda all_six: [all_six[0][..., 0], *all_six[1:]], r"photograph 1 .* \(400, 300\)"),
        (lambda all_six: [all_six[0] / 255, *all_six[1:]], "photograph 1 .* float64"),
        (lambda all_six: [*all_six[:4], all_six[4][:160]], "photograph 5 .* 160 x 600"),
    ],
)
def test_photographs_that_cannot_be_used_are_named(spoil, message) -> None:
    with pytest.raises(UserError, match=message):
        frost(natural.tiles(1), 1, RandomState(0), spoil(photographs()))


def test_texture_of_frost_has_the_brightness_and_contrast_that_it_states() -> None:
    textures = frost_texture(1000, RandomState(0)).astype(float)
    assert textures.mean() == pytest.approx(121, abs=2)
    assert textures.std() == pytest.approx(50, abs=2)


def test_texture_of_frost_is_bright_lines_and_as_icy_everywhere() -> None:
    textures = frost_texture(1000, RandomState(1)).astype(float)
    red, green, blue = textures.mean(axis=(0, 1, 2))
    assert red < green < blue
    levels = textures[..., 1]
    assert np.mean(levels > levels.mean()) < 0.5  # few bright pixels, many dark ones
    assert levels.mean(axis=0).std() < 5  # no place of the image is preferred


def test_frost_without_photographs_grows_with_severity() -> None:
    images = natural.tiles()
    changes = [
        natural.mean_change(frost(images, severity, RandomState(0)), images)
        for severity in SEVERITIES
    ]
    assert changes[:3] == sorted(changes[:3])


# Spatter


@pytest.mark.parametrize("severity", SEVERITIES)
def test_spatter_has_the_colour_of_water_or_mud(severity) -> None:
    grey = np.full((50, 32, 32, 3), 100, dtype=np.uint8)
    change = spatter(grey, severity, RandomState(0)).astype(int) - 100
    touched = change[np.abs(change).max(axis=-1) > 10]
    assert 0.001 < len(touched) / (50 * 32 * 32) < 0.3
    if severity <= 3:
        assert (touched > 0).all()
        np.testing.assert_allclose(touched[:, 0] / touched[:, 1], 175 / 238, atol=0.1)
        np.testing.assert_array_equal(touched[:, 1], touched[:, 2])
    else:
        assert (touched < 0).all()
        opacity = touched / (np.array([63, 42, 20]) - 100)
        assert np.ptp(opacity, axis=1).max() < 0.03  # levels are cut
        assert opacity.min() > 0.79  # thin mud is left out


def test_no_liquid_leaves_the_image() -> None:
    class Dry(RandomState):
        def normal(self, loc=0.0, scale=1.0, size=None):
            return np.full(size, loc)

    images = natural.tiles(2)
    for severity in SEVERITIES:
        spattered = spatter(images, severity, Dry(0)).astype(int)
        assert np.abs(spattered - images).max() <= 1


def slow_distance(edges: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The shortest of all paths of king's and knight's moves, in closed form for each edge."""
    result = np.full(edges.shape, 8192.0)
    rows, columns = np.indices(edges.shape)
    for row, column in np.argwhere(edges):
        y, x = abs(rows - row), abs(columns - column)
        far, near = np.maximum(y, x), np.minimum(y, x)
        gentle = (far - 2 * near) + 2.1969 * near
        steep = 2.1969 * (far - near) + 1.4 * (2 * near - far)
        result = np.minimum(result, np.where(far >= 2 * near, gentle, steep))
    return result


def test_distance_is_the_shortest_path_of_king_and_knight() -> None:
    edges = RandomState(2).uniform(size=(6, 32, 32)) < 0.004
    edges[0] = False
    edges[1] = False
    edges[1, 31, 0] = True
    expected = [slow_distance(image) for image in edges]
    np.testing.assert_allclose(distance(edges), expected, atol=1e-3)


def test_edges_are_thin_closed_lines_around_a_square() -> None:
    levels = np.zeros((2, 32, 32), dtype=np.uint8)
    levels[0, 10:20, 8:24] = 200
    edges = canny(levels, 50, 150)
    assert not edges[1].any()
    assert ndimage.label(edges[0], np.ones((3, 3)))[1] == 1
    assert ndimage.label(~edges[0])[1] == 2  # inside and outside
    assert edges[0].sum() <= 2 * (10 + 16)


def test_weak_edges_count_only_where_they_touch_strong_ones() -> None:
    levels = np.zeros((2, 32, 32), dtype=np.uint8)
    levels[:, :, 16:] = 20  # gradient 80: above 50, below 150
    levels[1, :8, 16:] = 100
    edges = canny(levels, 50, 150)
    assert not edges[0].any()
    assert edges[1, 10:, 15:17].any(axis=-1).all()
