"""The two streams of the gated PixelCNN, kept from one position to the next.

What a position needs of those before it is kept, so one position costs a ninth of the network and
not all of it. All tensors are made once, and what does not depend on the layer before is computed
for all layers in one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from initbench_slices.stacking import look_up
from torch import Tensor

from initbench_vqvae.halved import HalvedNetwork, half_gate_


@dataclass(frozen=True)
class FirstRow:
    """The vertical stream at the first row, the same for all slices of a model."""

    inputs: Tensor  # of each layer: (layers, models or blocks, 1, side * width)
    conditions: Tensor  # of the horizontal stream: (side, layers, models or blocks, 1, channels)

    @classmethod
    def of(cls, network: HalvedNetwork) -> Self:
        """Compute it."""
        layers, side = network.layers, network.side
        depth, models, width, channels = layers.left.shape
        inputs = layers.left.new_zeros(depth, models, 1, side * width)
        conditions = layers.left.new_empty(side, depth, models, 1, channels)
        for i in range(depth):
            ungated = layers.vertical_bias[i].clone()
            if i > 0:  # mask A: the first layer does not see this row
                ungated.baddbmm_(inputs[i], layers.lower[i])
            _condition(network, i, ungated, conditions[:, i])
            if i + 1 < depth:
                places = ungated.view(models, side, channels)
                half_gate_(places, out=inputs[i + 1].view(models, side, width))
        return cls(inputs, conditions)

    def of_blocks(self, models: Sequence[int] | slice) -> FirstRow:
        """Return the same for each block's model."""
        return FirstRow(self.inputs[:, models], self.conditions[:, :, models])


class Streams:
    """Both streams at the current position, before the first one to begin with."""

    def __init__(self, network: HalvedNetwork, first_row: FirstRow, rows: int) -> None:
        """Begin.

        Args:
            network: of each block.
            first_row: of each block.
            rows: of a block.
        """
        self.network, self.first_row = network, first_row
        depth, blocks, width, channels = network.layers.left.shape
        empty, side = network.embedding.new_empty, network.side
        self.h = empty(depth, blocks, rows, width)
        """Of each layer, its input; of the first, the embedded code before."""
        self.end = empty(blocks, rows, width)
        self.conditions = empty(side, depth, blocks, rows, channels)
        """Of the horizontal stream, at all positions of this row; none yet."""
        self.v = first_row.inputs
        self._next_v, self._last_v = (empty(depth, blocks, rows, side * width) for _ in range(2))
        self._ungated = empty(blocks, rows, side * channels)

    def next_row(self, above: Tensor) -> None:
        """Go to the next row; `above`: the codes (blocks, rows, side) of the row before."""
        layers, before, v, ungated = self.network.layers, self.v, self._next_v, self._ungated
        embedded = look_up(self.network.embedding, above).flatten(2)
        for i, upper in enumerate(layers.upper):
            bias = layers.vertical_bias[i]
            if i == 0:  # mask A: the first layer does not see this row
                torch.baddbmm(bias, embedded, upper, out=ungated)
            elif before is self.first_row.inputs:
                bias = torch.baddbmm(bias, before[i], upper)
                torch.baddbmm(bias, v[i], layers.lower[i], out=ungated)
            else:
                torch.baddbmm(bias, before[i], upper, out=ungated)
                ungated.baddbmm_(v[i], layers.lower[i])
            _condition(self.network, i, ungated, self.conditions[:, i])
            if i + 1 < len(v):
                places = ungated.view(len(ungated), -1, layers.left.shape[3])
                half_gate_(places, out=v[i + 1].view(*places.shape[:2], -1))
        self.v, self._next_v, self._last_v = v, self._last_v, v

    def next_column(self, column: int, before: Tensor | None) -> Tensor:
        """Go to the next position of a row and return the stream's end (blocks, rows, width).

        Args:
            column: of the position.
            before: the embedded code (blocks, rows, width) of the position before in this row.
        """
        layers, t = self.network.layers, self.conditions[column]
        if self.v is self.first_row.inputs:
            t.copy_(self.first_row.conditions[column])
        if before is not None:
            self.h[0] = before
            t.flatten(0, 1).baddbmm_(self.h.flatten(0, 1), layers.left.flatten(0, 1))
        inputs = [*self.h, self.end]
        of_layers = zip(t, layers.here, layers.residual, inputs, inputs[1:], strict=False)
        for i, (sigmoids, here, residual, h, after) in enumerate(of_layers):
            if i > 0:  # mask A: the first layer does not see the position itself
                sigmoids.baddbmm_(h, here)
            first, second = sigmoids.sigmoid_().chunk(2, dim=-1)
            first.mul_(second)
            if i == 0:
                torch.bmm(sigmoids, residual, out=after)
            else:
                torch.baddbmm(h, sigmoids, residual, out=after)
        return self.end


def _condition(network: HalvedNetwork, layer: int, ungated: Tensor, out: Tensor) -> None:
    """Write what the vertical stream gives the horizontal one, (side, blocks, rows, channels)."""
    layers = network.layers
    places = ungated.chunk(network.side, dim=2)
    for column, place in enumerate(places):
        bias = layers.bias if column else layers.first_bias
        torch.baddbmm(bias[layer], place, layers.to_horizontal[layer], out=out[column])
