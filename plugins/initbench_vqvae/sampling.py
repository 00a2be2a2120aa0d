"""Drawing codes from the gated PixelCNN, for all slices of all layers at once.

Position by position in raster order, but without doing anything twice: what a position needs of
those before it is kept, so one position costs a ninth of the network and not all of it. What does
not depend on any code, such as the whole first row of the vertical stream, is computed for one row
and broadcast.

Two thirds of what is left to compute are the two layers that turn the horizontal stream into
logits. The rest is many small steps, so gates are written such that they need few passes over
memory: tanh(a) sigmoid(b) = 2 (sigmoid(2 a) - 1/2) sigmoid(b), and both factors of 2 are part of
the matrices before and after. They are powers of two, which rounding does not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from initbench_slices.stacking import Parameters, look_up, parts
from torch import Tensor

from initbench_vqvae.prior import GatedLayer, GatedPixelCNN, transposed

_HIDDEN_AT_ONCE = 2  # blocks, on a CPU: 512 units of each row stay in its caches


def sample(
    prior: GatedPixelCNN, parameters: Parameters, models: Sequence[int], uniform: Tensor
) -> Tensor:
    """Draw codes by inverting their distribution function.

    Args:
        prior: the network.
        parameters: by name, each (models, *shape).
        models: which of them draws a block of rows.
        uniform: numbers in [0, 1), one a position: (blocks, rows, k * k).

    Returns:
        Indices, (blocks, rows, k * k).
    """
    network = _Network.of(prior, parameters)
    drawn = [
        _draw(prior, network.of_blocks(models[part]), uniform[part])
        for part in parts(len(models), uniform.device)
    ]
    return torch.cat(drawn)


def _draw(prior: GatedPixelCNN, network: _Network, uniform: Tensor) -> Tensor:
    side = prior.kernel
    streams = _Streams(side, network, rows=uniform.shape[1])
    drawn: list[Tensor] = []
    for row in range(side):
        streams.begin_row(torch.stack(drawn[-side:], dim=2) if row else None)
        for column in range(side):
            logits = streams.logits(column, drawn[-1] if column else None)
            drawn.append(choose(logits, uniform[:, :, row * side + column]))
    return torch.stack(drawn, dim=2)


def choose(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return for each row the code at which the distribution function passes `uniform`.

    Args:
        logits: (blocks, rows or 1, codes).
        uniform: (blocks, rows).
    """
    passed = logits.softmax(2).cumsum(2)
    wanted = uniform[..., None] * passed[:, :, -1:]
    if passed.shape[1] < wanted.shape[1]:  # one function for all rows
        found = torch.searchsorted(passed[:, 0], wanted[..., 0], right=True)
    else:
        found = torch.searchsorted(passed, wanted, right=True)[..., 0]
    # A uniform number of nearly 1 may be rounded up to the end.
    return found.clamp_max_(logits.shape[2] - 1)


@dataclass(frozen=True)
class _Network:
    """The prior as matrices (models or blocks, in, out), factors of gates included."""

    embedding: Tensor
    layers: Sequence[GatedLayer]
    hidden: Tensor  # the bias is its last row: adding it to so many units would take longer
    output: Tensor
    output_bias: Tensor

    @classmethod
    def of(cls, prior: GatedPixelCNN, parameters: Parameters) -> _Network:
        return cls(
            parameters["embedding.weight"],
            [_for_half_gates(prior, parameters, i) for i in range(prior.layers)],
            torch.cat(transposed(parameters, "output_conv.0"), dim=1),
            *transposed(parameters, "output_conv.2"),
        )

    def of_blocks(self, models: Sequence[int]) -> _Network:
        """Return the matrices of each block's model."""
        return _Network(
            self.embedding[models],
            [
                GatedLayer(*(getattr(layer, field.name)[models] for field in fields(layer)))
                for layer in self.layers
            ],
            self.hidden[models],
            self.output[models],
            self.output_bias[models],
        )


class _Streams:
    """Both streams at the current row: one tensor a layer, rows (or 1) in dimension 1."""

    def __init__(self, side: int, network: _Network, rows: int) -> None:
        self.side, self.network = side, network
        blocks, units, _ = network.output.shape
        at_once = _HIDDEN_AT_ONCE if network.output.device.type == "cpu" else blocks
        self.hidden = network.output.new_empty(at_once, rows, units)
        self.v: list[Tensor | None] = [None] * len(network.layers)  # inputs of the row before
        self.vertical: list[Tensor] = []  # of this row, before the gate
        self.left: list[Tensor | None] = [None] * len(network.layers)  # of the position before

    def begin_row(self, above: Tensor | None) -> None:
        """Bring the vertical stream to the next row; `above`: the codes of the row before."""
        self.vertical = []
        v: Tensor | None = None
        embedded = None if above is None else look_up(self.network.embedding, above).flatten(2)
        for i, layer in enumerate(self.network.layers):
            now = layer.vertical_bias.repeat(1, 1, self.side)
            now = _plus(now, embedded if i == 0 else self.v[i], layer.upper)
            now = _plus(now, v, layer.lower)  # mask A: the first layer does not see this row
            self.v[i] = v
            self.vertical.append(now.unflatten(2, (self.side, -1)))
            if i + 1 < len(self.network.layers):
                v = half_gate(self.vertical[i]).flatten(2)

    def logits(self, column: int, code: Tensor | None) -> Tensor:
        """Return logits (blocks, rows or 1, codes); `code`: at the position before in this row."""
        h: Tensor | None = None
        embedded = None if code is None else look_up(self.network.embedding, code)
        for i, layer in enumerate(self.network.layers):
            before = embedded if i == 0 or column == 0 else self.left[i]
            t = torch.baddbmm(layer.bias, self.vertical[i][:, :, column], layer.to_horizontal)
            t = _plus(t, before, layer.left)
            t = _plus(t, h, layer.here)  # mask A: the first layer does not see the position itself
            out = torch.baddbmm(layer.residual_bias, half_gate(t), layer.residual)
            self.left[i] = h
            h = out if h is None else out + h
        assert h is not None
        return self._classify(h)

    def _classify(self, h: Tensor) -> Tensor:
        network = self.network
        with_one = torch.cat([h, h.new_ones(*h.shape[:2], 1)], dim=2)
        logits = h.new_empty(*h.shape[:2], network.output.shape[2])
        for first in range(0, len(h), len(self.hidden)):
            part = slice(first, first + len(self.hidden))
            hidden = self.hidden[: len(h[part]), : h.shape[1]]
            torch.bmm(with_one[part], network.hidden[part], out=hidden).relu_()
            bias, matrix = network.output_bias[part], network.output[part]
            torch.baddbmm(bias, hidden, matrix, out=logits[part])
        return logits


def _plus(total: Tensor, x: Tensor | None, matrix: Tensor) -> Tensor:
    """Return total + x @ matrix, in the place of `total` if it has as many rows."""
    if x is None:
        return total
    if total.shape[1] == x.shape[1]:
        return total.baddbmm_(x, matrix)
    return torch.baddbmm(total, x, matrix)


def half_gate(x: Tensor) -> Tensor:
    """Return half of what `gate` does, for channels whose first half has been doubled."""
    first, second = x.sigmoid().chunk(2, dim=-1)
    return (first - 0.5).mul_(second)


def _for_half_gates(prior: GatedPixelCNN, parameters: Parameters, i: int) -> GatedLayer:
    """Return a layer whose gates, and those of the layers before it, are `half_gate`."""
    layer = GatedLayer.of(prior, parameters, i)
    doubled = layer.bias.new_ones(2 * prior.width)
    doubled[: prior.width] = 2
    in_row = doubled.repeat(prior.kernel)
    return replace(
        layer,
        upper=layer.upper * in_row * (2 if i else 1),  # the first layer sees codes, not gates
        lower=layer.lower * in_row * 2,
        vertical_bias=layer.vertical_bias * doubled,
        to_horizontal=layer.to_horizontal * doubled / doubled[:, None],
        bias=layer.bias * doubled,
        left=layer.left * doubled,
        here=layer.here * doubled,
        residual=layer.residual * 2,
    )
