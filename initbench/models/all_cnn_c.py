"""All-CNN-C: convolutions and nothing else.

Source: Springenberg et al. 2015, "Striving for Simplicity: The All Convolutional Net", tables 1
and 2; own implementation.
Deviations: every 3 x 3 convolution is padded by 1, so that 8 x 8 positions are averaged at the end
(in the paper 6 x 6, because the seventh convolution is not padded). Dropout is off by default, as
in Chang et al. 2020, who use this network as the main network of a hypernetwork.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.models.model import Model
from initbench.plugin.initialiser import Citation, Config

if TYPE_CHECKING:
    import torch

LAYERS = (
    (96, 3, 1),
    (96, 3, 1),
    (96, 3, 2),
    (192, 3, 1),
    (192, 3, 1),
    (192, 3, 2),
    (192, 3, 1),
    (192, 1, 1),
)
"""Width, kernel and stride of the convolutions; a ninth, 1 x 1, has one channel a class."""


class AllCNNCConfig(Config):
    """Whether anything is dropped."""

    dropout: Annotated[
        bool, Field(description="0.2 of the input, 0.5 after each convolution of stride 2")
    ] = False


class AllCNNC(Model[AllCNNCConfig]):
    """Nine convolutions; 1,369,738 parameters for RGB images of 10 classes."""

    name = "all_cnn_c"
    summary = "nine convolutions without norms; strides instead of pooling"
    citation = Citation(
        "Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity: The All "
        "Convolutional Net. ICLR 2015 workshop",
        "https://arxiv.org/abs/1412.6806",
    )
    licence = "Apache-2.0"
    version = "1"
    channels_last = True
    Config = AllCNNCConfig

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; any image size will do, 32 is the paper's."""
        from torch import nn

        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if self.config.dropout:
            layers["dropout0"] = nn.Dropout(0.2)
        width_in = channels
        # As in the paper's tables, a ReLU follows the last convolution too.
        for i, (width, kernel, stride) in enumerate([*LAYERS, (classes, 1, 1)], start=1):
            layers[f"conv{i}"] = nn.Conv2d(width_in, width, kernel, stride, padding=kernel // 2)
            layers[f"relu{i}"] = nn.ReLU()
            if self.config.dropout and stride == 2:
                layers[f"dropout{i}"] = nn.Dropout(0.5)
            width_in = width
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        return nn.Sequential(layers)
