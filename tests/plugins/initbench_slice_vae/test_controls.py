"""Controls keep what they say they keep, and destroy the rest."""

from __future__ import annotations

import pytest
import torch
from initbench_slice_vae.controls import Gaussian, Permuted, Resampled
from initbench_slices.initialiser import LocalConfig
from initbench_slices.places import Place
from initbench_slices.slices import LayerSlices

GENERATOR = torch.Generator().manual_seed(0)
LAYERS = [
    LayerSlices(Place("a", (4, 4, 3, 3), 0.0), torch.randn(50, 9), torch.randn(9, 9)),
    LayerSlices(Place("b", (4, 4, 3, 3), 1.0), torch.randn(70, 9) + 5, torch.randn(9, 9)),
]


def drawn(cls: type, count: int = 1000) -> list[torch.Tensor]:
    control = cls(LocalConfig())
    tensors = control.learn(LAYERS, GENERATOR, "cpu").tensors
    return control.sample(tensors, 3, [(1, count), (0, count)], GENERATOR)


def sources(samples: torch.Tensor) -> list[set[int]]:
    """Which rows of each layer are among the samples."""
    return [{i for i, row in enumerate(x.train) if (samples == row).all(1).any()} for x in LAYERS]


def test_resampled_slices_are_all_of_the_layers_own() -> None:
    second, first = drawn(Resampled)
    assert sources(second) == [set(), set(range(70))]
    assert sources(first) == [set(range(50)), set()]


def test_permuted_slices_are_of_all_layers() -> None:
    for samples in drawn(Permuted, 3000):
        assert sources(samples) == [set(range(50)), set(range(70))]


def test_gaussian_slices_have_mean_and_covariance_of_the_layer() -> None:
    for samples, layer in zip(drawn(Gaussian, 100_000), reversed(LAYERS), strict=True):
        torch.testing.assert_close(samples.mean(0), layer.train.mean(0), rtol=0, atol=0.02)
        torch.testing.assert_close(samples.T.cov(), layer.train.T.cov(), rtol=0, atol=0.05)
        assert sources(samples[:100]) == [set(), set()]


def test_slices_that_do_not_span_everything_are_no_problem() -> None:
    flat = torch.randn(50, 1) * torch.ones(9)
    layer = LayerSlices(Place("a", (4, 4, 3, 3), 0.0), flat, flat)
    control = Gaussian(LocalConfig())
    tensors = control.learn([layer], GENERATOR, "cpu").tensors
    (samples,) = control.sample(tensors, 3, [(0, 200)], GENERATOR)
    assert float(samples.std(1).max()) == pytest.approx(0, abs=1e-3)
    assert samples.std() > 0.5
