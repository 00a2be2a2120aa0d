"""Variances of pre-activations and gradients before training: section 4 of the specification.

Widths 784-200-200-200-200-200-10, 50 features, one output layer for the four equal layers, uniform
embeddings and weights, standard normal inputs. The tables are medians of 12 seeds. Few are drawn
here, so values may be another half as large, and more so from layer to layer, because a layer's
scale is that of all layers before it too. For ReLU, the tables have r = 2 on the classifier, and
our r = 1 there makes half of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch

from tests.plugins.initbench_hyperfan.support import initialise, initialiser, mlp

WIDTHS = [200] * 5
IN, OUT = ("hyperfan", {}), ("hyperfan", {"mode": "out"})
XAVIER = ("hypernet_classical", {"scheme": "xavier"})
FAN_IN = ("hypernet_classical", {"scheme": "kaiming_fan_in"})
FAN_OUT = ("hypernet_classical", {"scheme": "kaiming_fan_out"})

TABLE: list[tuple[str, bool, tuple[str, dict[str, Any]], list[float]]] = [
    ("identity", False, IN, [0.97, 0.93, 1.04, 1.05, 1.07, 1.06]),
    ("identity", False, OUT, [3.8, 3.6, 4.1, 4.1, 4.2, 83]),
    ("identity", False, XAVIER, [0.49, 0.23, 0.13, 0.066, 0.033, 0.32]),
    ("identity", False, FAN_IN, [764, 1.5e5, 3.3e7, 6.6e9, 1.3e12, 2.7e14]),
    ("identity", False, FAN_OUT, [0.24, 0.058, 0.016, 0.0041, 0.0010, 0.0052]),
    ("identity", True, IN, [0.96, 0.99, 1.02, 1.02, 0.98, 1.04]),
    ("relu", False, IN, [1.95, 1.87, 2.09, 1.93, 1.89, 0.75]),
    ("relu", False, OUT, [7.6, 7.3, 8.2, 7.6, 7.4, 58]),
    ("relu", False, FAN_IN, [1.5e3, 2.9e5, 6.6e7, 1.2e10, 2.4e12, 3.3e14 / 2]),
    ("tanh", False, IN, [0.97, 0.36, 0.25, 0.18, 0.14, 0.11]),
    ("tanh", True, IN, [0.96, 0.70, 0.69, 0.70, 0.60, 0.65]),
]


@cache
def images() -> torch.Tensor:
    return torch.randn(400, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def networks(
    seeds: int, activation: str, biases: bool, method: tuple[str, dict[str, Any]]
) -> Iterator[Any]:
    """Yield hypernetworks of the table, from so many seeds."""
    name, config = method
    for seed in range(seeds):
        network = mlp(WIDTHS, activation, seed, biases=biases)
        initialise(network, initialiser(name, **config), seed)
        yield network


def medians(values: list[list[float]]) -> list[float]:
    return torch.tensor(values, dtype=torch.float64).quantile(0.5, 0).tolist()


@torch.no_grad()
def variances(network: Any) -> list[float]:
    """Return the variance of each layer's pre-activations, over all inputs and units."""
    found: list[float] = []
    for layer in network.anatomy().main.weight_layers():
        network.get_submodule(layer.name).register_forward_hook(
            lambda module, args, output: found.append(output.double().var().item())
        )
    network(images())
    return found


@pytest.mark.parametrize(("activation", "biases", "method", "expected"), TABLE)
def test_variances_are_those_of_the_table(
    activation: str, biases: bool, method: tuple[str, dict[str, Any]], expected: list[float]
) -> None:
    measured = medians([variances(n) for n in networks(3, activation, biases, method)])
    factors = [1.5 + 0.25 * layer for layer in range(6)]
    for value, published, factor in zip(measured, expected, factors, strict=True):
        assert published / factor < value < published * factor, measured


def test_hyperfan_in_keeps_the_variance_of_a_linear_network() -> None:
    """Rule 3: within [0.7, 1.4] for the median of 10 seeds."""
    measured = medians([variances(network) for network in networks(10, "identity", False, IN)])
    assert all(0.7 < value < 1.4 for value in measured), measured


def test_hyperfan_out_keeps_the_variance_of_gradients() -> None:
    """Rule 4: within 40 % across linear layers of equal width."""
    seen = []
    for network in networks(10, "identity", False, OUT):
        inputs: list[torch.Tensor] = []
        for layer in network.anatomy().main.weight_layers():
            network.get_submodule(layer.name).register_forward_hook(
                lambda module, args, output, inputs=inputs: inputs.append(args[0])
            )
        labels = torch.arange(len(images())) % 10
        loss = torch.nn.functional.cross_entropy(network(images()), labels)
        gradients = torch.autograd.grad(loss, inputs[1:])  # those of layers of 200 units
        seen.append([(g.var() / gradients[-1].var()).item() for g in gradients])
    measured = medians(seen)
    assert all(0.6 < value < 1.4 for value in measured), measured


def test_kaiming_fan_in_explodes() -> None:
    """Rule 5, the negative control: beyond 10^6 by layer 4."""
    (network,) = networks(1, "identity", False, FAN_IN)
    assert variances(network)[3] > 1e6
