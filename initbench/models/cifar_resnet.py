"""The residual networks of CIFAR: ResNet-20, 32, 44 and 56.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2; own
implementation.
Deviations: none by default. Shortcut A, without parameters, is the paper's choice for CIFAR: every
second row and column, and zero channels in front and behind. Shortcut B (1 x 1 convolution and
batch norm) is the paper's projection. `norm: none` (biases in the place of batch norm) and
`scaled_branches` are no variants of the paper: they ask what residual connections alone do to a
starting point.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.models.model import Model
from initbench.plugin.initialiser import Citation, Config

if TYPE_CHECKING:
    import torch

STAGE_WIDTHS = (16, 32, 64)


class CifarResNetConfig(Config):
    """The depth, the shortcut, and what stabilises the network."""

    depth: Annotated[
        Literal[20, 32, 44, 56], Field(description="6n + 2 for n blocks in each stage")
    ] = 20
    shortcut: Annotated[
        Literal["A", "B"],
        Field(description="where the shape changes: zero padding (A) or 1 x 1 convolution (B)"),
    ] = "A"
    norm: Annotated[
        Literal["batch", "none"], Field(description="batch norm, or biases in its place")
    ] = "batch"
    scaled_branches: Annotated[
        bool, Field(description="multiply each residual branch by 1 / sqrt(number of blocks)")
    ] = False


class CifarResNet(Model[CifarResNetConfig]):
    """Three stages of basic blocks; depth 20 with 10 classes has 269,722 parameters."""

    name = "cifar_resnet"
    summary = "ResNet-20 to 56 for small images, shortcut A or B"
    citation = Citation(
        "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016",
        "https://arxiv.org/abs/1512.03385",
    )
    licence = "Apache-2.0"
    version = "2"  # 2: channels last on a CPU, which moves the last bits
    channels_last = "cpu"  # a step takes a fifth less time
    Config = CifarResNetConfig

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; any image size will do, 32 is the paper's."""
        from torch import nn

        from initbench.models.blocks import BasicBlock, norm_of

        is_normed = self.config.norm == "batch"
        blocks = (self.config.depth - 2) // 6
        scale = 1 / math.sqrt(3 * blocks) if self.config.scaled_branches else 1.0
        stem = STAGE_WIDTHS[0]
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(channels, stem, 3, padding=1, bias=not is_normed),
            norm=norm_of(stem, is_normed),
            relu=nn.ReLU(),
        )
        width_in = stem
        for stage, width in enumerate(STAGE_WIDTHS, start=1):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                layers[f"stage{stage}_block{block}"] = BasicBlock(
                    width_in,
                    width,
                    stride,
                    self.config.shortcut,
                    is_normed=is_normed,
                    scale=scale,
                )
                width_in = width
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(width_in, classes)
        return nn.Sequential(layers)
