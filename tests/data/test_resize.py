"""Resizing does what a slow and obvious implementation does."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
import torch

from initbench.data.resize import resize


def _weights(source: int, target: int) -> list[list[Fraction]]:
    """Exact bilinear weights of every source pixel for every target pixel."""
    scale = Fraction(source, target)
    support = max(scale, Fraction(1))  # the triangle is widened when shrinking
    rows = []
    for i in range(target):
        centre = (i + Fraction(1, 2)) * scale
        row = [
            max(Fraction(0), 1 - abs(j + Fraction(1, 2) - centre) / support) for j in range(source)
        ]
        rows.append([w / sum(row) for w in row])
    return rows


def _weighted_sum(image: list[list[int]], ys: list[Fraction], xs: list[Fraction]) -> Fraction:
    return sum(
        (y * x * pixel for y, row in zip(ys, image, strict=True) if y
         for x, pixel in zip(xs, row, strict=True) if x),
        Fraction(0),
    )  # fmt: skip


def _slow_resize(image: list[list[int]], target: int) -> list[list[int]]:
    weights = _weights(len(image), target)
    exact = [[_weighted_sum(image, ys, xs) for xs in weights] for ys in weights]
    return [[floor(value + Fraction(1, 2)) for value in row] for row in exact]  # halves up


@pytest.mark.parametrize(
    ("source", "target"), [(8, 28), (16, 28), (8, 12), (12, 8), (9, 3), (10, 7), (1, 4)]
)
def test_it_agrees_with_exact_fractions(source: int, target: int) -> None:
    draws = torch.Generator().manual_seed(source * 100 + target)
    images = torch.randint(0, 256, (1, 2, source, source), generator=draws, dtype=torch.uint8)
    resized = resize(images, target)
    assert resized.dtype == torch.uint8
    for image, result in zip(images.flatten(0, 1), resized.flatten(0, 1), strict=True):
        assert result.tolist() == _slow_resize(image.tolist(), target)


def test_halves_are_rounded_up_everywhere() -> None:
    image = torch.tensor([[0, 1], [0, 1]], dtype=torch.uint8).view(1, 1, 2, 2)
    # Averaging 0 and 1 gives one half in each channel.
    assert resize(image, 1).item() == 1


def test_native_size_is_left_alone() -> None:
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    assert resize(images, 8) is images


def test_many_images_are_resized_as_one_by_one() -> None:
    draws = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (1030, 1, 4, 4), generator=draws, dtype=torch.uint8)
    together = resize(images, 6)
    assert torch.equal(together[1020:], resize(images[1020:], 6))
