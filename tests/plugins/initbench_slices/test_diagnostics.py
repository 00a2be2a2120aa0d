"""Diagnostics tell good samples from bad ones."""

from __future__ import annotations

import pytest
import torch
from initbench_slices.diagnostics import COLLAPSED, diagnose, energy_distance, explained
from initbench_slices.places import Place
from initbench_slices.slices import LayerSlices


def rows(count: int, seed: int, std: float = 0.1) -> torch.Tensor:
    return torch.randn(count, 9, generator=torch.Generator().manual_seed(seed)) * std


SLICES = LayerSlices(Place("w", (4, 4, 3, 3), 0.0), train=rows(2000, 0), held_out=rows(500, 1))


def test_samples_of_the_same_distribution_are_like_new_slices() -> None:
    found = diagnose(SLICES, rows(2000, 2))
    assert found["data_std"] == pytest.approx(0.1, rel=0.05)
    assert found["ratio"] == pytest.approx(1, abs=0.05)
    assert found["nearest"] == pytest.approx(1, abs=0.05)
    assert found["energy"] == pytest.approx(0, abs=0.01)


def test_copies_are_no_distance_from_trained_slices() -> None:
    assert diagnose(SLICES, SLICES.train[:1000])["nearest"] == pytest.approx(0, abs=1e-3)


def test_a_constant_slice_is_a_collapse_far_in_energy() -> None:
    found = diagnose(SLICES, rows(1, 3).expand(1000, 9) + rows(1000, 4, std=0.001))
    assert found["ratio"] is not None
    assert found["energy"] is not None
    assert found["energy"] > 0.3
    zero = diagnose(SLICES, rows(1000, 4, std=0.001))
    assert zero["ratio"] is not None
    assert zero["ratio"] < COLLAPSED


def test_held_out_slices_that_were_trained_leave_nearest_open() -> None:
    same = LayerSlices(SLICES.place, train=SLICES.train[:4], held_out=SLICES.train[:4].clone())
    same.train[:] = same.held_out[:] = torch.eye(4, 9)
    assert diagnose(same, rows(10, 1))["nearest"] is None


def test_explained_is_one_for_the_data_and_zero_for_their_mean() -> None:
    data = rows(100, 1)
    assert explained(data, data) == 1
    assert explained(data, data.mean(0).expand_as(data)) == pytest.approx(0, abs=1e-6)


def test_energy_distance_is_that_of_all_pairs() -> None:
    x, y = rows(7, 1), rows(5, 2) + 1

    def mean(a: torch.Tensor, b: torch.Tensor, *, same: bool = False) -> float:
        pairs = [float((p - q).norm()) for i, p in enumerate(a) for j, q in enumerate(b)
                 if not (same and i == j)]  # fmt: skip
        return sum(pairs) / len(pairs)

    across = mean(x, y)
    expected = (2 * across - mean(x, x, same=True) - mean(y, y, same=True)) / (2 * across)
    assert energy_distance(x, y) == pytest.approx(expected, rel=1e-4)
