"""The formulas' table of Chang et al. 2020, beside values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from initbench_hyperfan.baselines import classical_variance
from initbench_hyperfan.variances import hyperfan_variance, relu_factor

from initbench.api import GeneratedTensor, Layer, LayerKind, LayerRole, OutputLayer
from tests.plugins.initbench_hyperfan.support import initialise, initialiser, mlp, weight_of


def layer(inputs: int, outputs: int, positions: int = 1, activation: str = "tanh") -> Layer:
    return Layer(
        name="main.x",
        kind=LayerKind.CONV,
        role=LayerRole.HIDDEN,
        weight="main.x.weight",
        bias="main.x.bias",
        others=(),
        shape=(outputs, inputs, positions),
        groups=1,
        fan_in=inputs * positions,
        fan_out=outputs * positions,
        activation=activation,
        activation_parameter=None,
        activation_from="traced",
    )


def variance(
    mode: Any,
    main: Layer,
    *,
    bias: bool = False,
    both: bool = False,
    e: float = 1.0,
    features: int = 50,
) -> float:
    tensor = GeneratedTensor(main, bias, both or bias, (0, 1))
    output = OutputLayer("h", (tensor,), features, "e", e)
    return hyperfan_variance(mode, tensor, output)


@pytest.mark.parametrize(
    ("inputs", "outputs", "fan_in", "in_bound", "fan_out", "out_bound"),
    [
        (784, 500, 2.551e-5, 0.008748, 4.000e-5, 0.010954),
        (500, 500, 4.000e-5, 0.010954, 4.000e-5, 0.010954),
        (500, 10, 4.000e-5, 0.010954, 2.000e-3, 0.077460),
    ],
)
def test_worked_values_of_the_mnist_experiment(
    inputs: int, outputs: int, fan_in: float, in_bound: float, fan_out: float, out_bound: float
) -> None:
    main = layer(inputs, outputs)
    assert variance("in", main) == pytest.approx(fan_in, rel=5e-4)
    assert math.sqrt(3 * variance("in", main)) == pytest.approx(in_bound, abs=5e-7)
    assert variance("out", main) == pytest.approx(fan_out, rel=5e-4)
    assert math.sqrt(3 * variance("out", main)) == pytest.approx(out_bound, abs=5e-7)


def test_the_bounds_of_the_mnist_experiment_hold_in_a_network() -> None:
    network = mlp([500] * 5)
    for mode, bounds in (
        ("in", [0.008748, 0.010954, 0.010954]),
        ("out", [0.010954, 0.010954, 0.077460]),
    ):
        initialise(network, initialiser("hyperfan", mode=mode))
        largest = [
            weight_of(network, output.name).abs().max().item()
            for output in network.anatomy().outputs
        ]
        assert largest == pytest.approx(bounds, rel=1e-4)


def test_every_indicator_of_the_table() -> None:
    tanh, relu = layer(30, 20), layer(30, 20, activation="relu")
    conv = layer(30, 20, positions=9, activation="relu")
    # r / (m d_j s d_k Var(e))
    assert variance("in", tanh) == pytest.approx(1 / (30 * 50))
    assert variance("in", relu) == pytest.approx(2 / (30 * 50))
    assert variance("in", conv) == pytest.approx(2 / (30 * 9 * 50))
    assert variance("in", conv, both=True) == pytest.approx(2 / (2 * 30 * 9 * 50))
    assert variance("in", conv, e=1.0033, features=7) == pytest.approx(2 / (30 * 9 * 7 * 1.0033))
    # r / (d_i s d_k Var(e)), biases or not
    assert variance("out", conv) == variance("out", conv, both=True)
    assert variance("out", conv) == pytest.approx(2 / (20 * 9 * 50))
    # r / (2 d_l Var(e'))
    assert variance("in", relu, bias=True, features=7, e=0.5) == pytest.approx(2 / (2 * 7 * 0.5))


@pytest.mark.parametrize("positions", [1, 9])
def test_biases_of_hyperfan_out_fill_the_gap_where_a_layer_widens(positions: int) -> None:
    narrowing, widening = layer(30, 20, positions), layer(20, 30, positions)
    assert variance("out", narrowing, bias=True) == 0
    # 1 - d_j / d_i, whatever the receptive field
    assert variance("out", widening, bias=True) == pytest.approx((1 - 20 / 30) / 50)


def test_the_layer_s_own_activation_decides_about_the_relu() -> None:
    factors = {
        name: relu_factor(layer(3, 3, activation=name))
        for name in ("relu", "relu6", "leaky_relu", "gelu", "tanh", "sigmoid", "identity")
    }
    assert factors == {
        "relu": 2,
        "relu6": 2,
        "leaky_relu": 2,
        "gelu": 2,
        "tanh": 1,
        "sigmoid": 1,
        "identity": 1,
    }
    outputs = mlp([20, 20], "relu").anatomy().outputs
    assert [relu_factor(output.tensors[0].layer) for output in outputs] == [2, 2, 1]


def test_baselines_see_an_output_layer_as_one_linear_map() -> None:
    # From d_k = 50 features to the 500 * 784 elements of the first weight.
    (output, *_) = (x for x in mlp([500] * 5).anatomy() if x.name.endswith("output_layers.0"))
    assert classical_variance("xavier", output, 1) == 2 / (50 + 500 * 784)
    assert classical_variance("kaiming_fan_in", output, 2) == 2 / 50
    assert classical_variance("kaiming_fan_out", output, 2) == 2 / (500 * 784)
    assert classical_variance("kaiming_fan_in", output, 1) == 1 / 50
