"""Hyperfan: predicted weights have the variance that keeps activations, 2 / fan-in."""

from __future__ import annotations

from math import prod
from statistics import fmean

import pytest
import torch
from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.architectures import ResNet
from initbench_ghn.hyperfan import hyperfan
from initbench_ghn.network import GHN
from initbench_ghn.traced import Traced
from initbench_ghn.tracing import trace

from initbench.api import UserError

NETWORK = ResNet(14, 3, 10, average_pool=False)
SHAPES = {name: tuple(p.shape) for name, p in NETWORK.named_parameters() if p.ndim > 1}
DRAWS = 6


def variances(architecture: Architecture, *, by_hyperfan: bool) -> dict[str, float]:
    """Return Var(W) fan-in / 2 of each weight, the mean over draws of the hypernetwork."""
    found: dict[str, list[float]] = {name: [] for name in SHAPES}
    graph = trace(NETWORK, (3, 32, 32))
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        ghn, generator = GHN(architecture), torch.Generator().manual_seed(seed)
        if by_hyperfan:
            hyperfan(ghn, generator)
        noise = ghn.draw_noise(graph, generator)
        with torch.no_grad():
            (tiles,) = ghn([graph], None if noise is None else [noise])
        for name, shape in SHAPES.items():
            mean_square = float(tiles[name].square().mean())
            found[name].append(mean_square * prod(shape[1:]) / 2)
    return {name: fmean(values) for name, values in found.items()}


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(decoder_shape=(64, 64, 3, 3)),
        Architecture(decoder_shape=(64, 64, 3, 3), noise=Noise(8, 1.0)),
        Architecture(decoder_shape=(64, 64, 3, 3), noise=Noise(16, 3.0)),
        Architecture(decoder="mlp", max_shape=(64, 64, 5, 5)),
    ],
    ids=["plain", "noise", "more noise", "mlp"],
)
def test_predicted_weights_have_fan_in_variance(architecture: Architecture) -> None:
    for name, ratio in variances(architecture, by_hyperfan=True).items():
        assert 0.6 < ratio < 1.6, name


def test_without_it_they_are_far_too_small() -> None:
    found = variances(Architecture(decoder_shape=(64, 64, 3, 3)), by_hyperfan=False)
    assert max(found.values()) < 0.1


def test_a_layer_keeps_the_size_of_activations() -> None:
    layer = torch.nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular", bias=False)
    traced = Traced.of(torch.nn.Sequential(layer, torch.nn.ReLU()), (64, 8, 8))
    sizes = []
    for seed in range(2 * DRAWS):
        torch.manual_seed(seed)
        ghn = GHN(Architecture(decoder_shape=(64, 64, 3, 3)))
        hyperfan(ghn, torch.Generator().manual_seed(seed))
        images = torch.randn(16, 64, 8, 8)
        with torch.no_grad():
            sizes.append(float(traced(ghn([traced.graph])[0], images).square().mean()))
    assert fmean(sizes) == pytest.approx(1, rel=0.3)


def test_a_hypernetwork_that_does_not_normalise_is_refused() -> None:
    for architecture in (Architecture(layernorm=False), Architecture(weight_norm=False)):
        with pytest.raises(UserError, match="normalises nodes and weights"):
            hyperfan(GHN(architecture), torch.Generator())
