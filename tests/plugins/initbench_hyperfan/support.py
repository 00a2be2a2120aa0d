"""Hypernetworks for the tests of the spec, initialised as the harness does."""

from __future__ import annotations

from typing import Any

import torch
from initbench_hyperfan.baselines import (
    HypernetClassical,
    HypernetConstant,
    HypernetScaled,
    HypernetSmall,
)
from initbench_hyperfan.hyperfan import Hyperfan
from initbench_hyperfan.oneshot import HypernetOneshot
from torch import nn

from initbench.api import CoverageMap, Initialisation, Initialiser
from initbench.models.hypernetwork.model import Hypernetwork
from initbench.models.tracing import anatomy

METHODS: dict[str, type[Initialiser[Any]]] = {
    cls.name: cls
    for cls in (
        Hyperfan,
        HypernetClassical,
        HypernetConstant,
        HypernetOneshot,
        HypernetScaled,
        HypernetSmall,
    )
}


def initialiser(name: str, **config: Any) -> Initialiser[Any]:
    cls = METHODS[name]
    return cls(cls.Config(**config))


def initialise(network: nn.Module, method: Initialiser[Any], seed: int = 0) -> CoverageMap:
    generator = torch.Generator().manual_seed(seed)
    return method.initialise(network, Initialisation(anatomy(network), generator))


def mlp(
    widths: list[int], activation: str = "tanh", seed: int = 0, size: int = 28, **config: Any
) -> Any:
    """Build a hypernetwork of an MLP for grey images and 10 classes."""
    main = {"name": "mlp", "widths": widths, "activation": activation}
    return built({"main": main, "sharing": "per_shape", **config}, 1, size, seed)


def built(config: dict[str, Any], channels: int, size: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return Hypernetwork(Hypernetwork.Config.model_validate(config)).build(channels, size, 10)


def weight_of(network: nn.Module, output: str) -> torch.Tensor:
    return network.get_parameter(f"{output}.weight").detach()
