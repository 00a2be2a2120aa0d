from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from initbench_classical.variance_scaling import He, LeCun, Xavier
from torch import nn

from initbench.api import Initialiser
from initbench.models.cifar_resnet import CifarResNet
from tests.plugins.initbench_classical.support import initialise

METHODS: list[tuple[type[Initialiser], dict[str, Any], Any]] = [
    (Xavier, {}, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    (Xavier, {"gain": 3.0}, lambda fan_in, fan_out: 18 / (fan_in + fan_out)),
    (He, {}, lambda fan_in, fan_out: 2 / fan_in),
    (He, {"mode": "fan_out"}, lambda fan_in, fan_out: 2 / fan_out),
    (LeCun, {}, lambda fan_in, fan_out: 1 / fan_in),
]


@pytest.mark.parametrize(("cls", "config", "formula"), METHODS)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@settings(max_examples=15)
@given(
    inputs=st.integers(8, 16),
    outputs=st.integers(8, 16),
    groups=st.sampled_from([1, 3, 8]),
    kernel=st.sampled_from([(5,), (3, 3), (1, 1, 3)]),
    transposed=st.booleans(),
)
def test_weights_have_the_distribution_and_variance_of_the_paper(
    *,
    cls: type[Initialiser],
    config: dict[str, Any],
    formula: Any,
    distribution: str,
    inputs: int,
    outputs: int,
    groups: int,
    kernel: tuple[int, ...],
    transposed: bool,
) -> None:
    plain = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(kernel) - 1]
    mirrored = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[len(kernel) - 1]
    layer = (mirrored if transposed else plain)(
        inputs * groups, outputs * groups, kernel, groups=groups
    )
    initialise(
        nn.Sequential(layer, nn.ReLU()), cls(cls.Config(distribution=distribution, **config))
    )

    positions = math.prod(kernel)
    std = math.sqrt(formula(inputs * positions, outputs * positions))
    values = layer.weight.detach().flatten() / std
    assert values.var().item() == pytest.approx(1, abs=5 * math.sqrt(2 / len(values)))
    if distribution == "uniform":
        assert values.abs().max() <= math.sqrt(3) * (1 + 1e-6)
        reference = scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))
    else:
        reference = scipy.stats.norm()
    assert scipy.stats.kstest(values.numpy(), reference.cdf).pvalue > 1e-4


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("method", ["xavier", "he", "lecun"])
def test_weights_are_those_of_torch_nn_init(method: str, distribution: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)
    )
    nonlinearities = {"xavier": [""] * 3, "he": ["tanh", "relu", "linear"], "lecun": ["linear"] * 3}
    cls = {"xavier": Xavier, "he": He, "lecun": LeCun}[method]
    initialise(network, cls(cls.Config(distribution=distribution)), seed=5)
    generator = torch.Generator().manual_seed(5)
    for i, nonlinearity in zip((0, 2, 5), nonlinearities[method], strict=True):
        expected = torch.empty_like(network[i].weight)
        if method == "xavier":
            draw = getattr(nn.init, f"xavier_{distribution}_")
            draw(expected, generator=generator)
        else:
            draw = getattr(nn.init, f"kaiming_{distribution}_")
            draw(expected, nonlinearity=nonlinearity, generator=generator)
        torch.testing.assert_close(network[i].weight.detach(), expected.detach())


def test_the_classifier_gets_gain_1_unless_an_activation_is_named() -> None:
    def head_std(**config: Any) -> float:
        network = CifarResNet(CifarResNet.Config()).build(3, 32, 100)
        initialise(network, He(He.Config(**config)))
        return network.get_parameter("head.weight").std().item()

    assert head_std() == pytest.approx(math.sqrt(1 / 64), rel=0.03)
    assert head_std(gain="relu") == pytest.approx(math.sqrt(2 / 64), rel=0.03)
    assert head_std(gain=1.4142135623730951) == pytest.approx(math.sqrt(2 / 64), rel=0.03)


def deep(width: int, activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([width] * 11):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers)


def signal_after(network: nn.Sequential, images: int = 64) -> float:
    x = torch.randn(images, 400, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(x).square().mean().item()


def test_he_keeps_the_signal_through_ten_relu_layers_and_lecun_does_not() -> None:
    network = deep(400, nn.ReLU)
    initialise(network, He(He.Config()))
    assert 0.4 < signal_after(network) < 2.5
    initialise(network, LeCun(LeCun.Config()))
    assert signal_after(network) == pytest.approx(2.0**-10, rel=0.6)


def test_lecun_and_xavier_keep_the_signal_through_ten_linear_layers() -> None:
    for cls in (LeCun, Xavier):
        network = deep(400, nn.Identity)
        initialise(network, cls(cls.Config()))
        assert 0.6 < signal_after(network) < 1.6
