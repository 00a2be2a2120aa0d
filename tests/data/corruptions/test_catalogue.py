"""The catalogue holds all nineteen corruptions, in order, each as its callers expect it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.random import RandomState

from initbench.data.corruptions.catalogue import CORRUPTIONS, SEVERITIES, corrupt
from initbench.errors import UserError
from tests.data.corruptions import natural

MAIN = (
    "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur "
    "snow frost fog brightness contrast elastic_transform pixelate jpeg_compression"
).split()
EXTRA = "speckle_noise gaussian_blur spatter saturate".split()


def test_names_are_in_official_order() -> None:
    assert list(CORRUPTIONS) == MAIN + EXTRA
    assert [x.name for x in CORRUPTIONS.values()] == MAIN + EXTRA
    assert [name for name, x in CORRUPTIONS.items() if x.main] == MAIN


def test_families_follow_each_other() -> None:
    families = [CORRUPTIONS[name].family for name in MAIN]
    assert families == ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + ["digital"] * 4
    extra = [CORRUPTIONS[name].family for name in EXTRA]
    assert extra == ["noise", "blur", "weather", "digital"]


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_gives_new_images_of_the_same_kind(name: str, severity: int) -> None:
    images = natural.tiles(3)
    images.flags.writeable = False
    found = corrupt(images, name, severity, RandomState(1))
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    assert found.flags.writeable
    assert not np.shares_memory(found, images)
    assert (found != images).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_draws_give_the_same_images(name: str) -> None:
    images = natural.tiles(3)
    first, second = (corrupt(images, name, 4, RandomState(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_layout_in_memory_makes_no_difference(name: str) -> None:
    images = natural.tiles(3)
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(
        corrupt(channels_first, name, 2, RandomState(1)), corrupt(images, name, 2, RandomState(1))
    )


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_severity_is_different(name: str) -> None:
    images = natural.tiles(2)
    results = {corrupt(images, name, severity, RandomState(1)).tobytes() for severity in SEVERITIES}
    # Motion blur at severity 4 reaches further than at 3, but what it adds weighs nothing.
    assert len(results) == (4 if name == "motion_blur" else 5)


def test_draws_go_on_from_call_to_call() -> None:
    images = natural.tiles(2)
    draws = RandomState(1)
    first, second = (corrupt(images, "fog", 3, draws) for _ in range(2))
    assert (first != second).any()


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UserError, match=r"unknown corruption `gausian_noise`.*`gaussian_noise`"):
        corrupt(natural.tiles(1), "gausian_noise", 1, RandomState(0))


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_severities_are_one_to_five(severity: int) -> None:
    with pytest.raises(UserError, match=rf"`fog`: expected a severity from 1 to 5, got {severity}"):
        corrupt(natural.tiles(1), "fog", severity, RandomState(0))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 32, 32, 3)),
        np.zeros((1, 3, 32, 32), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((0, 32, 32, 3), np.uint8),
    ],
    ids=["floats", "channels first", "64 x 64", "one image", "none"],
)
def test_other_images_are_refused(images: np.ndarray) -> None:
    with pytest.raises(
        UserError, match=r"expected uint8 images of shape \(n, 32, 32, 3\)"
    ) as error:
        corrupt(images, "pixelate", 1, RandomState(0))
    assert f"got {images.dtype} of shape {images.shape}" in str(error.value)


def test_reading_the_names_loads_nothing_heavy() -> None:
    program = (
        "import sys, initbench.data.corruptions.catalogue\n"
        "print(sorted({'numpy', 'scipy', 'PIL', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
