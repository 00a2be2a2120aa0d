"""The modules that architectures need and `torch.nn` lacks.

A model file stays importable without torch and imports this one when it builds.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional


class PadShortcut(nn.Module):
    """Shortcut A: every `stride`-th row and column, zero channels half in front, half behind."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.padding = (width_out - width_in) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, self.padding, self.padding))


def norm_of(width: int, is_normed: bool) -> nn.Module:
    """Return a batch norm, or what does nothing in its place."""
    return nn.BatchNorm2d(width) if is_normed else nn.Identity()


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, the shortcut added before the last ReLU.

    Without batch norm the convolutions have biases. `scale` multiplies what is added to the
    shortcut.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        shortcut: Literal["A", "B"],
        *,
        is_normed: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        bias = not is_normed
        self.scale = scale
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=bias)
        self.norm1 = norm_of(width_out, is_normed)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=bias)
        self.norm2 = norm_of(width_out, is_normed)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module
        if width_in == width_out and stride == 1:
            self.shortcut = nn.Identity()
        elif shortcut == "A":
            self.shortcut = PadShortcut(width_in, width_out, stride)
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=bias), norm_of(width_out, is_normed)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu1(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        if self.scale != 1:
            out = self.scale * out
        return self.relu2(out + self.shortcut(x))  # type: ignore[no-any-return]
