"""The networks of the golden vectors, as their description says."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Cnn3(nn.Module):
    """Three convolutions, one batch norm, both kinds of pooling, and a classifier."""

    def __init__(self, classes: int = 10, bias: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.pool = nn.AvgPool2d(2)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.fc = nn.Linear(128, classes, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.conv1(x).relu(), 2)
        x = self.pool(self.bn2(self.conv2(x)).relu())
        x = functional.adaptive_avg_pool2d(self.conv3(x).relu(), 1)
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A basic block; the shortcut takes every second row and column, and pads channels."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.padding = stride, (width - width_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.padding:
            p = self.padding
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, p, p))
        return (out + x).relu()


class ResNet(nn.Module):
    """ResNet-20 with 3 blocks in each stage, ResNet-32 with 5; `noise`: as the Noise GHN has it."""

    def __init__(self, blocks: int = 3, *, noise: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.noise, width_in = noise, 16
        for stage, width in enumerate((16, 32, 64), start=1):
            layers = []
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                layers.append(Block(width_in, width, stride))
                width_in = width
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.add_module("linear" if noise else "fc", nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        if self.noise:
            x = functional.avg_pool2d(x, x.shape[3])
        else:
            x = functional.adaptive_avg_pool2d(x, 1)
        return self.get_submodule("linear" if self.noise else "fc")(x.flatten(1))  # type: ignore[no-any-return]


class EdgeCases(nn.Module):
    """Kernels of all shapes, groups, dilation, a concatenation, a layer norm, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 24, 3, 2, 1, bias=False)
        self.bn0 = nn.BatchNorm2d(24)
        self.c17 = nn.Conv2d(24, 40, (1, 7), padding=(0, 3))
        self.c71 = nn.Conv2d(40, 100, (7, 1), padding=(3, 0), bias=False)
        self.bn1 = nn.BatchNorm2d(100)
        self.dw = nn.Conv2d(100, 100, 3, padding=1, groups=100)
        self.dil = nn.Conv2d(100, 72, 3, padding=2, dilation=2, groups=2, bias=False)
        self.a = nn.Conv2d(72, 9, 2, 2)
        self.b = nn.Conv2d(72, 48, 4, 2, 1, groups=8, bias=False)
        self.ln = nn.LayerNorm(57)
        self.big = nn.Conv2d(57, 57, 13, padding=6, groups=57)
        self.fc1 = nn.Linear(228, 70)
        self.fc2 = nn.Linear(70, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn0(self.conv0(x)).relu()
        x = functional.gelu(self.dw(self.bn1(self.c71(self.c17(x))).relu()))
        x = functional.hardswish(self.dil(x))
        x = torch.cat([self.a(x), self.b(x)], 1)
        x = x + self.big(self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        x = functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.fc2(self.fc1(x).relu())  # type: ignore[no-any-return]
