"""The networks that a graph hypernetwork is trained on: residual ones, and random ones.

Source of the residual ones: Harder et al. 2023, section 3.3 (ResNet-32, 44 and 56); He et al. 2016,
section 4.2, shortcut A; own implementation. They have no parameters of their own: each step gives
them predicted ones. Batch norm sees the batch and keeps no statistics, as in the released code.
`fidelity: code` ends them with an average pool over the whole map, which is another node than the
mean that other networks end with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from initbench_ghn.random_networks import random_network

WIDTHS = (16, 32, 64)
RANDOM_JUDGES = 8
"""Random networks on which a hypernetwork is validated that learns on nothing else."""


class Architectures:
    """Residual networks of these depths, then random ones from number 0 on, without weights.

    Each is made when it is asked for.
    """

    def __init__(
        self,
        depths: Sequence[int],
        generated: int,
        channels: int,
        classes: int,
        *,
        average_pool: bool,
    ) -> None:
        self.depths, self.generated = depths, generated
        self.channels, self.classes, self.average_pool = channels, classes, average_pool
        self.judges = len(depths) or min(generated, RANDOM_JUDGES)

    def __len__(self) -> int:
        return len(self.depths) + self.generated

    def __getitem__(self, number: int) -> nn.Module:
        if not 0 <= number < len(self):
            raise IndexError(number)
        with torch.device("meta"):
            if number < len(self.depths):
                depth = self.depths[number]
                return ResNet(depth, self.channels, self.classes, average_pool=self.average_pool)
            return random_network(number - len(self.depths), self.channels, self.classes)


class Block(nn.Module):
    """Two 3 x 3 convolutions; the shortcut skips rows and columns, and pads channels."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width, track_running_stats=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width, track_running_stats=False)
        self.stride, self.padding = stride, (width - width_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        if self.stride > 1 or self.padding:
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        return (out + x).relu()  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Three stages of (depth - 2) / 6 blocks, a pool and a linear layer."""

    def __init__(self, depth: int, channels: int, classes: int, *, average_pool: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0], track_running_stats=False)
        blocks, width_in = [], WIDTHS[0]
        for stage, width in enumerate(WIDTHS):
            for block in range((depth - 2) // 6):
                blocks.append(Block(width_in, width, 2 if stage and not block else 1))
                width_in = width
        self.blocks = nn.Sequential(*blocks)
        self.average_pool = average_pool
        self.head = nn.Linear(width_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.norm(self.conv(x)).relu())
        if self.average_pool:
            x = functional.avg_pool2d(x, x.shape[-1])
        else:
            x = functional.adaptive_avg_pool2d(x, 1)
        return self.head(x.flatten(1))  # type: ignore[no-any-return]
