"""The gated PixelCNN: an autoregressive prior over the codes of a slice (van den Oord et al. 2016).

Ten gated layers carry two streams. The vertical one, v, sees the rows above; the horizontal one,
h, the positions to the left, and v. With V = conv(v), H = conv(h):

    gate(t) = tanh(first half of t) * sigmoid(second half)
    v' = gate(V),    h' = conv1x1(gate(conv1x1(V) + H)) [+ h, in all layers but the first]

In the first layer (mask A) a position does not see itself, in the others (mask B) it does. Two
1 x 1 convolutions with a ReLU between them turn h into logits, in raster order. The paper of the
method (Harder et al. 2023) leaves sizes open; they are those of the authors' code.

Deviations: masked taps are left out, instead of being set to zero before each pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from initbench_slices.stacking import Parameters, Start, connections, look_up, matrix, pointwise
from initbench_slices.training import SliceModel
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

VERTICAL, HORIZONTAL = (2, 3), (1, 2)  # kernels: this row and the one above; this and the left


@dataclass(frozen=True)
class GatedPixelCNN(SliceModel):
    """Priors over k x k codes; rows are indices (k * k), row by row."""

    kernel: int
    codes: int = 128
    width: int = 16
    layers: int = 10
    head: int = 512
    rate: float = 3e-4
    weight_decay: float = 0.0
    averaged: bool = True

    def starts(self) -> Mapping[str, Start]:
        w = self.width
        starts = {"embedding.weight": Start((self.codes, w), 1.0, "normal")}
        for i in range(self.layers):
            starts |= _xavier(f"layers.{i}.vert_stack", 2 * w, w, *VERTICAL)
            starts |= _xavier(f"layers.{i}.vert_to_horiz", 2 * w, 2 * w, 1, 1)
            starts |= _xavier(f"layers.{i}.horiz_stack", 2 * w, w, *HORIZONTAL)
            starts |= _xavier(f"layers.{i}.horiz_resid", w, w, 1, 1)
        starts |= _xavier("output_conv.0", self.head, w, 1, 1)
        return starts | _xavier("output_conv.2", self.codes, self.head, 1, 1)

    def embed(self, parameters: Parameters, indices: Tensor) -> Tensor:
        """Return (models, ..., width) for indices (models, ...)."""
        return look_up(parameters["embedding.weight"], indices)

    def logits(self, parameters: Parameters, indices: Tensor) -> Tensor:
        """Return (models, rows, k * k, codes) for indices (models, rows, k * k)."""
        k = self.kernel
        v = h = self.embed(parameters, indices.view(*indices.shape[:2], k, k))
        for i in range(self.layers):
            layer = GatedLayer.of(self, parameters, i)
            above, left = pad(v[:, :, :-1], (0, 0, 0, 0, 1, 0)), pad(h[..., :-1, :], (0, 0, 1, 0))
            vertical = row_product(above, layer.upper)
            horizontal = _channels(left, layer.left)
            if i > 0:  # mask A: the first layer sees neither this row nor this position
                vertical = vertical + row_product(v, layer.lower)
                horizontal = horizontal + _channels(h, layer.here)
            vertical = vertical + layer.vertical_bias[:, None, None]
            condition = _channels(vertical, layer.to_horizontal) + layer.bias[:, None, None]
            out = _channels(gate(condition + horizontal), layer.residual)
            out = out + layer.residual_bias[:, None, None]
            v = gate(vertical)
            h = out if i == 0 else out + h
        return self.classify(parameters, h.flatten(2, 3))

    def classify(self, parameters: Parameters, h: Tensor) -> Tensor:
        """Return logits (models, rows, positions, codes) of the last horizontal stream."""
        hidden = pointwise(h, parameters, "output_conv.0").relu_()
        return pointwise(hidden, parameters, "output_conv.2")

    def losses(self, parameters: Parameters, rows: Tensor, noise: Tensor) -> Tensor:
        """Return each slice's mean cross entropy over its positions, in nats."""
        logits = self.logits(parameters, rows).movedim(-1, 1)
        return cross_entropy(logits, rows, reduction="none").mean(2)


@dataclass(frozen=True)
class GatedLayer:
    """One gated layer as matrices (models, in, out) and biases (models, 1, out).

    Vertical convolutions see two rows, each as a whole; horizontal ones, two positions.
    """

    upper: Tensor  # from all positions of the row above to all of this one
    lower: Tensor  # from this row
    vertical_bias: Tensor
    to_horizontal: Tensor
    bias: Tensor  # of both that is added up in the horizontal stream
    left: Tensor  # from the position before
    here: Tensor
    residual: Tensor
    residual_bias: Tensor

    @classmethod
    def of(cls, prior: GatedPixelCNN, parameters: Parameters, layer: int) -> GatedLayer:
        name = f"layers.{layer}"
        weight = parameters[f"{name}.vert_stack.weight"]
        row, places = (1, prior.kernel), (prior.kernel, prior.kernel)
        links = connections((1, VERTICAL[1]), row, row, (0, 1), device=weight.device)
        upper, lower = (matrix(weight[:, :, :, i : i + 1], links, places) for i in range(2))
        taps = parameters[f"{name}.horiz_stack.weight"]
        to_horizontal, bias = transposed(parameters, f"{name}.vert_to_horiz")
        return cls(
            upper,
            lower,
            parameters[f"{name}.vert_stack.bias"][:, None],
            to_horizontal,
            bias + parameters[f"{name}.horiz_stack.bias"][:, None],
            taps[..., 0, 0].mT.contiguous(),
            taps[..., 0, 1].mT.contiguous(),
            *transposed(parameters, f"{name}.horiz_resid"),
        )


def transposed(parameters: Parameters, name: str) -> tuple[Tensor, Tensor]:
    """Return a 1 x 1 convolution as matrix (models, in, out) and bias (models, 1, out)."""
    weight = parameters[f"{name}.weight"].flatten(2)
    return weight.mT.contiguous(), parameters[f"{name}.bias"][:, None]


def row_product(x: Tensor, dense: Tensor) -> Tensor:
    """Apply a matrix to rows of positions, (models, ..., positions, channels), as a whole."""
    return torch.bmm(x.flatten(1, -3).flatten(2), dense).view(*x.shape[:-1], -1)


def _channels(x: Tensor, dense: Tensor) -> Tensor:
    """Apply a matrix to the channels of (models, ..., channels)."""
    return torch.bmm(x.flatten(1, -2), dense).view(*x.shape[:-1], -1)


def gate(x: Tensor) -> Tensor:
    """Return tanh of the first half of the channels times the sigmoid of the second."""
    first, second = x.chunk(2, dim=-1)
    return first.tanh() * second.sigmoid()


def _xavier(name: str, out: int, into: int, *kernel: int) -> dict[str, Start]:
    fans = (out + into) * math.prod(kernel)
    return {
        f"{name}.weight": Start((out, into, *kernel), math.sqrt(6 / fans)),
        f"{name}.bias": Start((out,), 0.0),
    }
