"""Random networks to learn on, in the manner of DeepNets-1M (Knyazev et al. 2021, section 4).

    network = random_network(7, channels=3, classes=10)

Number 7 is the same network everywhere and always. A stem is followed by two or three stages of one
to four cells, each half as high and wide as the one before, and by a mean over the map with one or
two linear layers. Cells join one or two branches (nothing, a shortcut, a sum, or a concatenation
that is brought back to its width); a branch has one or two convolutions (dense, grouped,
depthwise with a 1 x 1 convolution, dilated; 1 to 7 pixels wide) or a pool, and may end with a
squeeze-excite gate. One network in ten has no norms, as many have layer norms.

Own design: DeepNets-1M is a file of a million graphs that are drawn from the cells of neural
architecture search. It also has attention, which is left out here. Widths are such that a step on
a CPU stays a matter of a second. Norms see the batch and keep no statistics, and every parameter
is one that a graph hypernetwork predicts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

T = TypeVar("T")

_NORMS = ("batch",) * 8 + ("layer", "none")
_JOINS = ("plain", "shortcut", "shortcut", "shortcut", "sum", "concat")
_CONVOLUTIONS = ("dense", "dense", "dense", "grouped", "depthwise", "dilated", "dilated depthwise")
_WIDTHS = (16, 24, 32, 48)
_WIDE_KERNELS_UP_TO = 32  # channels of dense convolutions


class Draw:
    """Choices that depend on nothing but a number."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)

    def one_of(self, options: Sequence[T]) -> T:
        # Of the module `random`, this is the one method that never changes between versions.
        return options[int(self._random.random() * len(options))]

    def chance(self, share: float) -> bool:
        return self._random.random() < share


@dataclass(frozen=True)
class Style:
    """What all cells of a network have in common."""

    norm: str
    activation: type[nn.Module]
    bias: bool
    gates: float  # the share of branches with squeeze-excite


def random_network(number: int, channels: int, classes: int) -> nn.Module:
    """Return the network of this number, with the weights that PyTorch gives it."""
    return RandomNetwork(Draw(number), channels, classes)


class RandomNetwork(nn.Module):
    """Stem, stages of cells, mean, head."""

    def __init__(self, draw: Draw, channels: int, classes: int) -> None:
        super().__init__()
        norm = draw.one_of(_NORMS)
        style = Style(
            norm,
            draw.one_of((nn.ReLU, nn.ReLU, nn.ReLU, nn.GELU, nn.Hardswish)),
            bias=norm == "none" or draw.chance(0.2),
            gates=draw.one_of((0.0, 0.0, 0.5)),
        )
        width = draw.one_of(_WIDTHS)
        self.stem = _unit(style, nn.Conv2d(channels, width, 3, padding=1, bias=style.bias), width)
        body: list[nn.Module] = []
        for stage in range(draw.one_of((2, 3, 3))):
            if stage:
                wider = width * draw.one_of((1, 2, 2))
                body.append(_reduction(draw, style, width, wider))
                width = wider
            body += [Cell(draw, style, width) for _ in range(draw.one_of((1, 2, 3, 4)))]
        self.body = nn.Sequential(*body)
        hidden = draw.one_of((0, 0, 64, 128))
        self.head = nn.Sequential(
            *([nn.Linear(width, hidden), nn.ReLU()] if hidden else []),
            nn.Linear(hidden or width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = functional.adaptive_avg_pool2d(self.body(self.stem(x)), 1)
        return self.head(x.flatten(1))  # type: ignore[no-any-return]


class Cell(nn.Module):
    """One or two branches, and how they are joined."""

    def __init__(self, draw: Draw, style: Style, width: int) -> None:
        super().__init__()
        self.join = draw.one_of(_JOINS)
        self.first = _branch(draw, style, width)
        self.second = _branch(draw, style, width) if self.join in ("sum", "concat") else None
        self.narrow = None
        if self.join == "concat":
            narrow = nn.Conv2d(2 * width, width, 1, bias=style.bias)
            self.narrow = _unit(style, narrow, width)

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.first(x)
        if self.second is None:
            return first + x if self.join == "shortcut" else first
        if self.narrow is None:
            return first + self.second(x)  # type: ignore[no-any-return]
        return self.narrow(torch.cat([first, self.second(x)], 1))  # type: ignore[no-any-return]


def _branch(draw: Draw, style: Style, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    if draw.chance(0.1):
        layers.append(draw.one_of((nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1))))
        layers.append(_unit(style, nn.Conv2d(width, width, 1, bias=style.bias), width))
    else:
        for _ in range(draw.one_of((1, 2, 2))):
            layers += _convolution(draw, style, width)
    if draw.chance(style.gates):
        layers.append(Gate(width))
    return nn.Sequential(*layers)


def _convolution(draw: Draw, style: Style, width: int) -> list[nn.Module]:
    kind = draw.one_of(_CONVOLUTIONS)
    is_deep = "depthwise" in kind
    groups = width if is_deep else draw.one_of((2, 4)) if kind == "grouped" else 1
    is_slim = groups > 1 or width <= _WIDE_KERNELS_UP_TO
    extent = draw.one_of((1, 3, 3, 3, 5, 7) if is_slim and not is_deep else (3, 3, 5))
    dilation = 2 if "dilated" in kind else 1
    padding = dilation * (extent // 2)
    convolution = nn.Conv2d(
        width,
        width,
        extent,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=style.bias,
    )
    if not is_deep:
        return [_unit(style, convolution, width)]
    mixing = nn.Conv2d(width, width, 1, bias=style.bias)
    return [convolution, _unit(style, mixing, width)]


def _reduction(draw: Draw, style: Style, width: int, wider: int) -> nn.Sequential:
    """Return what halves height and width: a convolution with stride, or a pool before one."""
    if draw.chance(0.5):
        convolution = nn.Conv2d(width, wider, 3, stride=2, padding=1, bias=style.bias)
        return _unit(style, convolution, wider)
    pool: nn.Module = draw.one_of(
        (nn.MaxPool2d(2, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True))
    )
    unit = _unit(style, nn.Conv2d(width, wider, 1, bias=style.bias), wider)
    return nn.Sequential(pool, unit)


def _unit(style: Style, convolution: nn.Conv2d, width: int) -> nn.Sequential:
    norms: dict[str, list[nn.Module]] = {
        "batch": [nn.BatchNorm2d(width, track_running_stats=False)],
        "layer": [LayerNorm(width)],
        "none": [],
    }
    return nn.Sequential(convolution, *norms[style.norm], style.activation())


class LayerNorm(nn.LayerNorm):
    """Over the channels of each pixel."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Gate(nn.Module):
    """Squeeze-excite: the mean of each channel decides how much of all channels goes on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(width, width // 4), nn.Linear(width // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        gate = functional.hardsigmoid(self.excite(self.squeeze(x.mean((2, 3))).relu()))
        return x * gate[:, :, None, None]
