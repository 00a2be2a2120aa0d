"""Building networks for tests: on the meta device, where nothing is computed, wherever possible."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from initbench.models.model import Model
from initbench.plugin.registry import Registry


def model_of(name: str, **config: Any) -> Model[Any]:
    return Registry.installed().model(name, config).thing


def build(model: Model[Any], channels: int = 3, classes: int = 10, *, size: int = 32) -> nn.Module:
    return model.build(channels, model.image_size() or size, classes)


def shapes_only(model: Model[Any], channels: int = 3, classes: int = 10) -> nn.Module:
    with torch.device("meta"):
        return build(model, channels, classes)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
