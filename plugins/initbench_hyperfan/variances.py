"""The variances of Chang et al. 2020, table 1: hyperfan-in and hyperfan-out.

| | weights Var(H) | biases Var(G) |
|---|---|---|
| hyperfan-in | r / (m d_j s d_k Var(e)) | r / (2 d_l Var(e')) |
| hyperfan-out | r / (d_i s d_k Var(e)) | max(r (1 - d_j / d_i) / (d_l Var(e')), 0) |

d_j and d_i are the inputs and outputs of the layer of the main network, s is its receptive field, r
is 2 where a ReLU follows it and 1 elsewhere, and m is 2 where its biases are generated too. d_k and
d_l are the features that the output layer of the hypernetwork sees, Var(e) is their mean square.
"""

from __future__ import annotations

from typing import Literal

from initbench.api import GeneratedTensor, Layer, OutputLayer

Mode = Literal["in", "out"]

RECTIFIERS = frozenset(
    "celu elu gelu hardswish leaky_relu mish prelu relu relu6 rrelu silu softplus threshold".split()
)
"""Activations that count as a ReLU."""


def relu_factor(layer: Layer) -> int:
    """Return r: 2 where a ReLU, or a relative of it, follows a layer of the main network, else 1.

    The rest of the network does not matter, so the classifier gets 1.
    """
    return 2 if layer.activation in RECTIFIERS else 1


def wanted_variance(mode: Mode, tensor: GeneratedTensor) -> float:
    """Return the variance that the elements of a generated tensor are to have.

    It is what `hyperfan_variance` gives them, whatever features and embeddings there are.
    """
    layer = tensor.layer
    factor = relu_factor(layer)
    positions = layer.receptive_field
    inputs, outputs = layer.fan_in / positions, layer.fan_out / positions
    if tensor.is_bias:
        return factor / 2 if mode == "in" else max(factor * (1 - inputs / outputs), 0.0)
    if mode == "in":
        both = 2 if tensor.with_bias else 1
        return factor / (both * inputs * positions)
    return factor / (outputs * positions)


def hyperfan_variance(mode: Mode, tensor: GeneratedTensor, output: OutputLayer) -> float:
    """Return the variance of the weights with which `output` generates `tensor`.

    Where an output layer that all blocks share comes between, it has the variance 1 / fan-in and
    so changes no scale; the one of `output` cannot follow the main network's layers, so the input
    layers of the blocks do.
    """
    return wanted_variance(mode, tensor) / (output.features * output.embedding_variance)
