"""What slices do not cover, and the rules for it (Harder et al. 2023, the authors' code).

Weights without slices are drawn as by Xavier (normal), the classifier's by the head rule, biases as
PyTorch does; scales of norms are 1, their shifts 0. Running statistics stay as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.api import CoverageMap, Initialisation, Layer, LayerKind, LayerRole
from initbench_slices.places import has_slices, why_not_slices

if TYPE_CHECKING:
    import torch

Head = Annotated[
    Literal["xavier", "he", "default"],
    Field(
        description="of the classifier's weight: normal of variance 2 / (fan-in + fan-out), "
        "2 / fan-in, or PyTorch's default"
    ),
]


def write(network: torch.nn.Module, parameter: str, values: torch.Tensor | float) -> None:
    """Set a parameter in place, on its device and in its precision."""
    import torch

    with torch.no_grad():
        network.get_parameter(parameter).copy_(torch.as_tensor(values))


def xavier(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draw a weight (out, in, ...) from a normal of variance 2 / (fan-in + fan-out)."""
    import torch

    fans = (shape[0] + shape[1]) * math.prod(shape[2:])
    return torch.empty(shape).normal_(0, math.sqrt(2 / fans), generator=generator)


def head_weight(layer: Layer, rule: Head, generator: torch.Generator) -> torch.Tensor:
    """Draw the weight of the classifier by a rule."""
    import torch

    if rule == "xavier":
        return xavier(layer.shape, generator)
    if rule == "he":
        std = math.sqrt(2 / layer.fan_in)
        return torch.empty(layer.shape).normal_(0, std, generator=generator)
    return uniform(layer.shape, layer.fan_in, generator)


def uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> torch.Tensor:
    """Draw as PyTorch does by default: uniformly within 1 / sqrt(fan-in)."""
    import torch

    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def settle_others(
    network: torch.nn.Module, job: Initialisation, coverage: CoverageMap, head: Head
) -> None:
    """Set everything that does not consist of slices and account for it."""
    for layer in job.anatomy:
        if layer.kind in (LayerKind.CONV, LayerKind.LINEAR):
            if layer.weight is not None and not has_slices(layer) and 0 not in layer.shape:
                _settle_weight(network, layer, job, coverage, head)
            if layer.bias is not None:
                shape = tuple(network.get_parameter(layer.bias).shape)
                write(network, layer.bias, uniform(shape, layer.fan_in, job.generator))
                coverage.rule(layer.bias, "uniform within 1/sqrt(fan-in), PyTorch's default")
        elif layer.kind is LayerKind.NORM:
            for name, value, rule in (
                (layer.weight, 1.0, "scale 1"),
                (layer.bias, 0.0, "shift 0"),
            ):
                if name is not None:
                    write(network, name, value)
                    coverage.rule(name, rule)
    coverage.untouched_rest("not the weight of a layer, and the method has no rule for it")


def _settle_weight(
    network: torch.nn.Module,
    layer: Layer,
    job: Initialisation,
    coverage: CoverageMap,
    head: Head,
) -> None:
    assert layer.weight is not None
    if layer.role is LayerRole.HEAD:
        write(network, layer.weight, head_weight(layer, head, job.generator))
        coverage.rule(layer.weight, f"head rule: {head}")
        return
    write(network, layer.weight, xavier(layer.shape, job.generator))
    reason = "linear" if layer.kind is LayerKind.LINEAR else why_not_slices(layer.shape)
    coverage.fallback(layer.weight, f"not covered ({reason}): Xavier normal")
