"""What the methods of this package share: gains, biases, and everything that is not a weight.

A method sets the weights of convolutional and linear layers. By rule, scales of norms are 1, their
shifts 0 and biases 0. Embeddings, and parameters that a module keeps for itself, stay as the
constructor of the model made them, because none of these papers says anything about them.

Everything is drawn on the CPU in single precision, so the weights of a seed are the same on every
device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.api import Anatomy, CoverageMap, Initialisation, Layer, LayerKind, LayerRole

if TYPE_CHECKING:
    import torch

Gain = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)]
    | Literal["auto", "identity", "sigmoid", "tanh", "relu", "leaky_relu", "selu"],
    Field(
        description="that of the activation which follows each layer (`auto`), that of one "
        "activation for all layers, or a number"
    ),
]

Bias = Annotated[
    Literal["zero", "default"] | Annotated[float, Field(allow_inf_nan=False)],
    Field(description="zero, PyTorch's default (uniform within 1 / sqrt(fan-in)), or a number"),
]

Head = Annotated[
    Literal["own", "he", "xavier", "default"],
    Field(
        description="the classifier's weight: by the method itself, or by a rule that all groups "
        "of a comparison then have in common (both normal; PyTorch's default)"
    ),
]

_SAME_GAIN = {
    "identity": "linear",
    # Odd and bounded, with slope 1 at 0.
    "hardtanh": "tanh",
    "softsign": "tanh",
    # Rectifiers, smooth or capped.
    "celu": "relu",
    "elu": "relu",
    "gelu": "relu",
    "hardswish": "relu",
    "mish": "relu",
    "relu6": "relu",
    "rrelu": "relu",
    "silu": "relu",
    "softplus": "relu",
    "threshold": "relu",
    # Gates.
    "glu": "sigmoid",
    "hardsigmoid": "sigmoid",
    "logsigmoid": "sigmoid",
    # A leaky ReLU until its slope is learned.
    "prelu": "leaky_relu",
}
"""Activations for which torch gives no gain, and the one whose gain they get."""

_TORCH_GAINS = frozenset({"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"})


def gain_of(layer: Layer, gain: Gain) -> float:
    """Return the gain of `layer`: `torch.nn.init.calculate_gain` of an activation, or a number.

    Activations that torch has no gain for get that of their nearest relative, those without one
    (shrinkages) the gain 1.
    """
    import torch

    if not isinstance(gain, str):
        return gain
    name, slope = (layer.activation, layer.activation_parameter) if gain == "auto" else (gain, None)
    known = _SAME_GAIN.get(name, name)
    if known not in _TORCH_GAINS:
        return 1.0
    return float(torch.nn.init.calculate_gain(known, slope))  # type: ignore[arg-type]


def gain_text(layer: Layer, gain: Gain) -> str:
    """Say which gain a layer got and why, for the coverage map."""
    value = f"gain {gain_of(layer, gain):.4g}"
    if gain == "auto":
        return f"{value} of {layer.activation} ({layer.activation_from})"
    return f"{value} of {gain}" if isinstance(gain, str) else value


def weights(anatomy: Anatomy) -> Iterator[tuple[Layer, str]]:
    """Yield the convolutional and linear layers that own a weight, and its name."""
    for layer in anatomy.weight_layers():
        if layer.weight is not None and 0 not in layer.shape:
            yield layer, layer.weight


def write(network: torch.nn.Module, parameter: str, values: torch.Tensor | float) -> None:
    """Set a parameter in place, on its device and in its precision."""
    import torch

    with torch.no_grad():
        network.get_parameter(parameter).copy_(torch.as_tensor(values))


def settle_others(
    network: torch.nn.Module,
    job: Initialisation,
    coverage: CoverageMap,
    bias: Bias,
    head: Head = "own",
) -> None:
    """Set biases, norms and the head by rule and account for everything that stays as it is."""
    for layer in job.anatomy:
        if layer.kind in (LayerKind.CONV, LayerKind.LINEAR) and layer.bias is not None:
            if bias == "default":
                shape = network.get_parameter(layer.bias).shape
                write(network, layer.bias, default_bias(layer, shape, job.generator))
                coverage.rule(layer.bias, "uniform within 1/sqrt(fan-in), PyTorch's default")
            else:
                value = 0.0 if bias == "zero" else bias
                write(network, layer.bias, value)
                coverage.rule(layer.bias, f"{value:g}" if value else "zero")
        elif layer.kind is LayerKind.NORM:
            if layer.weight is not None:
                write(network, layer.weight, 1.0)
                coverage.rule(layer.weight, "scale 1")
            if layer.bias is not None:
                write(network, layer.bias, 0.0)
                coverage.rule(layer.bias, "shift 0")
        elif layer.kind is LayerKind.EMBEDDING and layer.weight is not None:
            coverage.untouched(layer.weight, "an embedding, for which the method has no rule")
    for layer, weight in weights(job.anatomy):
        if layer.role is LayerRole.HEAD and head != "own":
            write(network, weight, _head_weight(layer, head, job.generator))
            coverage.rule(weight, f"head rule: {head}")
    coverage.untouched_rest("not the weight of a layer, and the method has no rule for it")


def _head_weight(layer: Layer, rule: Head, generator: torch.Generator) -> torch.Tensor:
    """Draw the weight of a classifier, as the head rules of the other methods do."""
    import torch

    values = torch.empty(layer.shape)
    if rule == "default":
        bound = 1 / math.sqrt(layer.fan_in)
        return values.uniform_(-bound, bound, generator=generator)
    variance = 2 / (layer.fan_in if rule == "he" else layer.fan_in + layer.fan_out)
    return values.normal_(0, math.sqrt(variance), generator=generator)


def default_bias(layer: Layer, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draw a bias as PyTorch does by default."""
    import torch

    bound = 1 / math.sqrt(layer.fan_in) if layer.fan_in else 0.0
    return torch.nn.init.uniform_(torch.empty(shape), -bound, bound, generator=generator)
