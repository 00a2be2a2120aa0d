"""Activations by name: one vocabulary for configurations, tracing and gains.

The names are those of `torch.nn.functional`; torch itself is imported only to build a module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

ActivationName = Literal[
    "identity", "tanh", "sigmoid", "relu", "leaky_relu", "elu", "selu", "gelu", "silu"
]
"""What a model's configuration may ask for."""

_CLASSES = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "glu": "GLU",
    "hardshrink": "Hardshrink",
    "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish",
    "hardtanh": "Hardtanh",
    "leaky_relu": "LeakyReLU",
    "logsigmoid": "LogSigmoid",
    "mish": "Mish",
    "prelu": "PReLU",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "rrelu": "RReLU",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "softplus": "Softplus",
    "softshrink": "Softshrink",
    "softsign": "Softsign",
    "tanh": "Tanh",
    "tanhshrink": "Tanhshrink",
    "threshold": "Threshold",
}
"""Activation names and their classes in `torch.nn`."""

_NAMES = {cls: name for name, cls in _CLASSES.items()}

_SPELLINGS = {
    "log_sigmoid": "logsigmoid",
    "prelu_kernel": "prelu",
    "rrelu_with_noise": "rrelu",
    "safe_softmax": "softmax",
}
"""Other names that torch has for the same functions."""

_OUTPUTS = frozenset({"Softmax", "Softmax2d", "LogSoftmax", "Softmin"})
_OUTPUT_FUNCTIONS = frozenset({"softmax", "log_softmax", "softmin"})


@dataclass(frozen=True)
class Activation:
    """What follows a layer: a name of `torch.nn.functional`, or "identity"."""

    name: str = "identity"
    parameter: float | None = None  # the slope of a leaky ReLU


IDENTITY = Activation()


def activation_module(name: ActivationName) -> nn.Module:
    """Return a fresh module that applies the activation `name`."""
    from torch import nn

    module: nn.Module = nn.Identity() if name == "identity" else getattr(nn, _CLASSES[name])()
    return module


def of_module(module: nn.Module) -> Activation | None:
    """Return the activation that `module` applies, or None where it is something else.

    A softmax is an output, not an activation between layers, and counts as the identity.
    """
    for cls in type(module).__mro__:
        if cls.__module__.startswith("torch.nn.modules"):
            if cls.__name__ in _OUTPUTS:
                return IDENTITY
            if cls.__name__ in _NAMES:
                return Activation(_NAMES[cls.__name__], _slope(module))
    return None


def of_function(name: str, slope: Any = None) -> Activation | None:
    """Return the activation that the function or method `name` applies, if it is one.

    `name` is that of a function of torch, `relu` or, in place, `relu_`; `slope` its second
    argument, which only a leaky ReLU is asked for.
    """
    plain = name.rstrip("_")
    plain = _SPELLINGS.get(plain, plain)
    if plain in _OUTPUT_FUNCTIONS:
        return IDENTITY
    if plain not in _CLASSES:
        return None
    if plain == "leaky_relu" and isinstance(slope, int | float):
        return Activation(plain, float(slope))
    return Activation(plain)


def _slope(module: nn.Module) -> float | None:
    """Return the slope below zero of a leaky ReLU, or the one a PReLU starts with."""
    slope = getattr(module, "negative_slope", getattr(module, "init", None))
    return float(slope) if isinstance(slope, int | float) else None
