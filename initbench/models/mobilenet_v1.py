"""MobileNet v1: depthwise separable convolutions.

Source: Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", table 1; own implementation.
Deviations: the last depthwise convolution has stride 1; the paper's table prints 2, which its own
output sizes contradict. `stem: cifar` is no variant of the paper: the first convolution has stride
1 instead of 2, so that images of 32 x 32 pixels are 2 x 2 at the end; the parameters are the same.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.models.library import StemConfig
from initbench.models.model import Model
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch

STEM_WIDTH = 32
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
"""Width and stride of each pair of a depthwise and a pointwise convolution."""


class MobileNetV1Config(StemConfig):
    """The stem, the image size, and the paper's width multiplier."""

    width: Annotated[
        float, Field(ge=0.25, le=1, description="factor of all widths, alpha in the paper")
    ] = 1.0


class MobileNetV1(Model[MobileNetV1Config]):
    """27 convolutions and a linear head; 4,231,976 parameters for ImageNet."""

    name = "mobilenet_v1"
    summary = "depthwise separable convolutions, for ImageNet or 32 x 32 pixels"
    citation = Citation(
        "Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: MobileNets: Efficient "
        "Convolutional Neural Networks for Mobile Vision Applications. 2017",
        "https://arxiv.org/abs/1704.04861",
    )
    licence = "Apache-2.0"
    version = "1"
    channels_last = True
    Config = MobileNetV1Config

    def image_size(self) -> int | None:
        return self.config.size

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; any image size will do."""
        from torch import nn

        def unit(conv: nn.Conv2d) -> nn.Sequential:
            parts = OrderedDict(conv=conv, norm=nn.BatchNorm2d(conv.out_channels), relu=nn.ReLU())
            return nn.Sequential(parts)

        stride = 2 if self.config.stem == "imagenet" else 1
        width_in = self._scaled(STEM_WIDTH)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            stem=unit(nn.Conv2d(channels, width_in, 3, stride, padding=1, bias=False))
        )
        for i, (paper_width, stride) in enumerate(BLOCKS, start=1):
            width = self._scaled(paper_width)
            layers[f"depthwise{i}"] = unit(
                nn.Conv2d(width_in, width_in, 3, stride, padding=1, groups=width_in, bias=False)
            )
            layers[f"pointwise{i}"] = unit(nn.Conv2d(width_in, width, 1, bias=False))
            width_in = width
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(width_in, classes)
        return nn.Sequential(layers)

    def _scaled(self, width: int) -> int:
        return int(width * self.config.width)
