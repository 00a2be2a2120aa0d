from __future__ import annotations

import math
from collections import OrderedDict
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import torch
from initbench_classical.lsuv import LSUV
from initbench_classical.orthogonal import orthogonal
from torch import Tensor, nn

from initbench.api import Treatment
from initbench.models.cifar_resnet import CifarResNet
from initbench.models.mlp import MLP
from initbench.models.tracing import anatomy
from tests.plugins.initbench_classical.support import digits, initialise


def conv_net() -> nn.Module:
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(1, 8, 3),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(8, 12, 3, groups=2),
            pool=nn.MaxPool2d(2),
            tanh=nn.Tanh(),
            drop=nn.Dropout(0.5),
            flatten=nn.Flatten(),
            linear=nn.Linear(48, 20),
            relu2=nn.ReLU(),
            head=nn.Linear(20, 10),
        )
    )


def linear_net() -> nn.Module:
    return MLP(MLP.Config(widths=[50, 40, 30])).build(1, 8, 10)


def residual_net() -> nn.Module:
    return CifarResNet(CifarResNet.Config()).build(1, 8, 10)


def output_variances(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Return the variance of the output of every layer, by a forward hook of the test's own."""
    found: dict[str, float] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        found.setdefault(name, output.var(correction=0).item())

    with torch.no_grad(), ExitStack() as hooks:
        for layer in anatomy(network).weight_layers():
            module = network.get_submodule(layer.name)
            handle = module.register_forward_hook(partial(note, layer.name))
            hooks.callback(handle.remove)
        network.eval()(images)
    return found


def reference(
    network: nn.Module, seed: int, images: Tensor, tolerance: float, iterations: int
) -> None:
    """Algorithm 1, word by word: the whole batch through the whole network for every scaling."""
    generator = torch.Generator().manual_seed(seed)
    layers = list(anatomy(network).weight_layers())
    with torch.no_grad():
        for layer in layers:
            weight = network.get_parameter(str(layer.weight))
            weight.copy_(orthogonal(layer, 1.0, generator))
            if layer.bias:
                network.get_parameter(layer.bias).zero_()
        for layer in layers:
            for _ in range(iterations):
                variance = output_variances(network, images)[layer.name]
                if abs(variance - 1) < tolerance:
                    break
                network.get_parameter(str(layer.weight)).div_(math.sqrt(variance))


@pytest.mark.parametrize("build", [conv_net, linear_net, residual_net])
def test_every_layer_has_output_variance_one_on_real_digits(build: Any) -> None:
    network = build()
    coverage = initialise(network, LSUV(LSUV.Config()), images=digits())
    variances = output_variances(network, digits())
    assert len(variances) == len(list(anatomy(network).weight_layers()))
    assert all(0.9 <= variance <= 1.1 for variance in variances.values()), variances
    assert coverage.share(Treatment.FALLBACK) == 0


@pytest.mark.parametrize("build", [conv_net, linear_net])
def test_weights_are_those_of_the_algorithm_carried_out_slowly(build: Any) -> None:
    fast, slow = build(), build()
    initialise(fast, LSUV(LSUV.Config()), 4, digits())
    reference(slow, 4, digits(), 0.1, 10)
    for name, parameter in slow.named_parameters():
        torch.testing.assert_close(fast.get_parameter(name), parameter, rtol=1e-4, atol=1e-6)


def test_weights_are_multiples_of_an_orthonormal_start() -> None:
    network = conv_net()
    initialise(network, LSUV(LSUV.Config()), images=digits())
    weight = network.get_parameter("linear.weight").detach()
    product = weight @ weight.T
    torch.testing.assert_close(product, product[0, 0] * torch.eye(20), rtol=1e-4, atol=1e-4)


def test_with_biases_several_rescalings_are_needed_and_iterations_bound_them() -> None:
    def first_layer(iterations: int) -> tuple[float, str]:
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 30))
        with torch.no_grad():
            network[1].weight.zero_()
        config = LSUV.Config(bias="default", tolerance=0.0001, iterations=iterations)
        coverage = dict(initialise(network, LSUV(config), 0, digits() * 0.01))
        return output_variances(network, digits() * 0.01)["1"], coverage["1.weight"].reason

    variance_1, reason_1 = first_layer(1)
    variance_9, reason_9 = first_layer(9)
    assert abs(variance_9 - 1) < abs(variance_1 - 1)
    assert reason_1 == f"orthonormal, output variance {variance_1:.3f} after 1 rescalings"
    assert reason_9.endswith("rescalings")
    assert reason_9 != reason_1


def test_within_the_tolerance_nothing_is_rescaled() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64))
    images = torch.randn(256, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    coverage = dict(initialise(network, LSUV(LSUV.Config()), images=images))
    assert coverage["1.weight"].reason.endswith("after 0 rescalings")
    weight = network[1].weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_an_output_without_a_usable_variance_is_a_recorded_fallback(value: float) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    images = torch.full((4, 1, 8, 8), value)
    coverage = dict(initialise(network, LSUV(LSUV.Config()), images=images))
    assert coverage["1.weight"].treatment is Treatment.FALLBACK
    assert "the variance of its output is" in coverage["1.weight"].reason
    weight = network[1].weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(5), rtol=0, atol=1e-5)


def test_a_layer_that_is_never_called_stays_orthonormal_as_a_recorded_fallback() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            x = x.squeeze(1)
            return self.attention(x, x, x)[0]

    network = Attention()
    coverage = dict(initialise(network, LSUV(LSUV.Config()), images=digits()))
    assert coverage["attention.out_proj.weight"].treatment is Treatment.FALLBACK
    assert "never called" in coverage["attention.out_proj.weight"].reason


def test_a_layer_called_twice_is_scaled_by_its_first_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(torch.relu(self.linear(x.flatten(1) * 3)))

    network = Twice()
    initialise(network, LSUV(LSUV.Config()), images=digits())
    assert output_variances(network, digits())["linear"] == pytest.approx(1, abs=0.1)


def test_the_batch_asked_for_is_the_configured_one_and_is_required() -> None:
    assert LSUV(LSUV.Config()).images_needed() == 256
    assert LSUV(LSUV.Config(images=32)).images_needed() == 32
    with pytest.raises(ValueError, match="needs a batch of training images"):
        initialise(linear_net(), LSUV(LSUV.Config()))


def test_images_are_brought_to_the_precision_of_the_network() -> None:
    network = linear_net().double()
    initialise(network, LSUV(LSUV.Config()), images=digits())
    variances = output_variances(network, digits().double())
    assert all(0.9 <= variance <= 1.1 for variance in variances.values())
