"""Every family of models that can be stacked, small, with data of its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from initbench.data.resident import ResidentData
from initbench.models.all_cnn_c import AllCNNC
from initbench.models.cifar_resnet import CifarResNet
from initbench.models.mlp import MLP
from initbench.models.mobilenet_v1 import MobileNetV1
from initbench.models.model import Model
from initbench.models.zoo_cnn import ZooCNN
from initbench.plugin.registry import Registry
from tests.training.networks import data

_FAMILIES: dict[str, tuple[type[Model[Any]], dict[str, Any], int, int]] = {
    "mlp": (MLP, {"widths": [12, 12]}, 1, 6),
    "zoo_cnn_tanh": (ZooCNN, {}, 1, 28),
    "zoo_cnn_gelu": (ZooCNN, {"activation": "gelu"}, 3, 28),
    "cifar_resnet_a": (CifarResNet, {"depth": 20}, 3, 8),
    "cifar_resnet_b": (CifarResNet, {"depth": 20, "shortcut": "B"}, 3, 8),
    "all_cnn_c": (AllCNNC, {}, 3, 6),
    "mobilenet_v1": (MobileNetV1, {"width": 0.25, "stem": "cifar"}, 3, 8),
}
"""Model, configuration, channels and image size."""

_OF_LIBRARIES: dict[str, tuple[str, dict[str, Any], int, int]] = {
    "torchvision/shufflenet_v2_x0_5": ("torchvision", {"image_size": 32}, 3, 32),
    "timm/convnext_atto": ("timm", {"image_size": 32}, 3, 32),
    "resnet50": ("torchvision", {"stem": "cifar"}, 3, 8),  # 24 million parameters
}
"""The library they come from, configuration, channels and image size."""

FAMILIES = tuple(_FAMILIES)

OF_LIBRARIES = tuple(_OF_LIBRARIES)
"""Families that take seconds to build and to train."""


class InDouble(TorchFunctionMode):
    """While it is entered, what asks for float32 gets float64.

    Some networks multiply what is left of rounding a millionfold in a few steps; mistakes differ by
    more than that from rounding in float64 only.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return (torch.Tensor.double if func is torch.Tensor.float else func)(
            *args, **(kwargs or {})
        )


def family(name: str, device: str = "cpu") -> tuple[Callable[[int], nn.Module], ResidentData]:
    """Return what builds a network of this family from a seed, and data that fit it.

    Skips the test where the library that it needs is not installed.
    """
    configured: Model[Any]
    if name in _OF_LIBRARIES:
        library, config, channels, size = _OF_LIBRARIES[name]
        pytest.importorskip(library)
        configured = Registry.installed().model(name, config).thing
    else:
        model, config, channels, size = _FAMILIES[name]
        configured = model(model.Config.model_validate(config))

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return configured.laid_out(configured.build(channels, size, classes=3))

    return build, data(54, channels=channels, size=size, device=device)
