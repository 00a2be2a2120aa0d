"""Decoders of weights (Knyazev et al. 2021, section 3.3): node states to tensors of one size."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from initbench_ghn.architecture import Architecture, Layers
from initbench_ghn.shapes import Size


class ConvDecoder(nn.Module):
    """A map of 4 d features over the kernel, then 1 x 1 convolutions to all pairs of channels."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        d, (c0, c1, extent, _) = architecture.hid, architecture.tile
        noise = architecture.noise.size if architecture.noise else 0
        self.channels, self.features, self.extent = (c0, c1), 4 * d, extent
        self.fc = nn.Sequential(nn.Linear(d + noise, 4 * d * extent**2), nn.ReLU())
        self.conv = nn.Sequential(
            nn.Conv2d(4 * d, 8 * d, 1), nn.ReLU(), nn.Conv2d(8 * d, c0 * c1, 1)
        )
        self.class_layer_predictor = nn.Sequential(
            nn.ReLU(), nn.Conv2d(c0, architecture.num_classes, 1)
        )

    def forward(self, states: Tensor, size: Size) -> Tensor:
        """Return (nodes, *size): the first channels, and the top left corner of the kernel."""
        out, into, height, width = size
        fc, first, second = _layer(self.fc, 0), _layer(self.conv, 0), _layer(self.conv, 2)
        grid = (self.features, self.extent, self.extent)
        weight = fc.weight.unflatten(0, grid)[:, :height, :width].permute(1, 2, 0, 3)
        bias = _bias(fc).unflatten(0, grid)[:, :height, :width].permute(1, 2, 0)
        x = functional.linear(states, weight.flatten(0, 2), bias.flatten()).relu()
        x = x.unflatten(1, (height * width, self.features))
        x = functional.linear(x, first.weight.flatten(1), first.bias).relu()
        weight = second.weight.flatten(1).unflatten(0, self.channels)[:out, :into].flatten(0, 1)
        bias = _bias(second).unflatten(0, self.channels)[:out, :into].flatten()
        x = functional.linear(x, weight, bias).unflatten(2, (out, into))
        kernels: Tensor = x.unflatten(1, (height, width))
        return kernels.permute(0, 3, 4, 1, 2)

    def classifier(self, states: Tensor, size: Size) -> Tensor:
        """Return (nodes, classes, inputs)."""
        predictor = _layer(self.class_layer_predictor, 1)
        weight, bias = predictor.weight.flatten(1), _bias(predictor)
        return weight @ self(states, size)[..., 0, 0].relu() + bias[:, None]  # type: ignore[no-any-return]


class MLPDecoder(nn.Module):
    """Two layers to the whole tensor at once."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        d, self.tile = architecture.hid, architecture.tile
        self.classes = architecture.num_classes
        noise = architecture.noise.size if architecture.noise else 0
        outer = nn.Linear(2 * d, math.prod(self.tile))
        self.mlp = Layers(fc=nn.Sequential(nn.Linear(d + noise, 2 * d), nn.ReLU(), outer))
        self.class_layer_predictor = nn.Sequential(
            nn.ReLU(), nn.Linear(2 * d, self.classes * self.tile[1])
        )

    def forward(self, states: Tensor, size: Size) -> Tensor:
        """Return (nodes, *size): the first channels, and the top left corner of the kernel."""
        out, into, height, width = size
        return self.mlp.fc(states).unflatten(1, self.tile)[:, :out, :into, :height, :width]  # type: ignore[no-any-return]

    def classifier(self, states: Tensor, size: Size) -> Tensor:
        """Return (nodes, classes, inputs)."""
        hidden = self.mlp.fc[0](states)
        whole = self.class_layer_predictor(hidden).unflatten(1, (self.classes, self.tile[1]))
        return whole[..., : size[1]]  # type: ignore[no-any-return]


def _layer(layers: nn.Sequential, place: int) -> nn.Linear | nn.Conv2d:
    layer = layers[place]
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer


def _bias(layer: nn.Linear | nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
