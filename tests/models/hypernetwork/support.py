"""Hypernetworks for tests: small main networks, every way of generating them."""

from __future__ import annotations

from typing import Any

import torch

from initbench.models.hypernetwork.model import Hypernetwork
from initbench.models.hypernetwork.network import GeneratedNetwork

SMALL_MLP: dict[str, Any] = {"name": "mlp", "widths": [12, 12, 12], "activation": "tanh"}

VARIANTS: dict[str, tuple[dict[str, Any], int, int]] = {
    "per_tensor": ({"main": SMALL_MLP, "embedding": {"size": 5}}, 1, 6),
    "biases": ({"main": SMALL_MLP, "sharing": "per_shape", "biases": True}, 1, 6),
    "trainable": (
        {
            "main": SMALL_MLP,
            "embedding": {"size": 4, "shared": 3, "trainable": True},
            "hidden": [10, 9],
        },
        1,
        6,
    ),
    "one_embedding": (
        {
            "main": SMALL_MLP,
            "embedding": {"size": 0, "shared": 3, "trainable": True},
            "biases": True,
        },
        1,
        6,
    ),
    "zoo_cnn": ({"main": {"name": "zoo_cnn"}, "embedding": {"size": 5}}, 1, 28),
    "batch_norm": (
        {"main": {"name": "cifar_resnet"}, "sharing": "per_shape", "embedding": {"size": 3}},
        3,
        8,
    ),
    "chunked": (
        {
            "main": {"name": "cifar_resnet", "shortcut": "B"},
            "sharing": "chunked",
            "blocks": {"filters": 16, "features": 6},
            "embedding": {"size": 4},
        },
        3,
        8,
    ),
}
"""Configuration, channels and image size."""


def hypernetwork(variant: str, seed: int = 0, **changes: Any) -> GeneratedNetwork:
    """Build one of the variants, with other values where `changes` has some."""
    config, channels, size = VARIANTS[variant]
    return built({**config, **changes}, channels, size, seed)


def built(config: dict[str, Any], channels: int = 1, size: int = 6, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    model = Hypernetwork(Hypernetwork.Config.model_validate(config))
    return model.build(channels, model.image_size() or size, 10)


def images(variant: str, count: int = 4) -> torch.Tensor:
    _, channels, size = VARIANTS[variant]
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))
