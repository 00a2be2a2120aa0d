"""The two streams of the gated PixelCNN, kept from one position to the next.

What a position needs of those before it is kept, so one position costs a ninth of the network and
not all of it. All tensors are made once, and what does not depend on the layer before is computed
for all layers in one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from initbench_slices.stacking import look_up
from torch import Tensor

from initbench_vqvae.halved import HalvedLayers, HalvedNetwork, half_gate_


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
        for i, layer in enumerate(layers.each()):
            ungated = layer.vertical_bias.clone()
            if i > 0:  # mask A: the first layer does not see this row
                ungated.baddbmm_(inputs[i], layer.lower)
            _condition(layer, ungated, conditions[:, i])
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
        self._network, self._first_row = network, first_row
        depth, blocks, width, channels = network.layers.left.shape
        empty, side = network.embedding.new_empty, network.side
        self.h = empty(depth, blocks, rows, width)
        """Of each layer, its input; of the first, the embedded code before."""
        self.end = empty(blocks, rows, width)
        self._conditions = empty(side, depth, blocks, rows, channels)
        """Of the horizontal stream, at all positions of this row; none yet."""
        self._v = [*first_row.inputs]
        self._next_v, self._last_v = ([*empty(depth, blocks, rows, side * width)] for _ in range(2))
        self._ungated = empty(blocks, rows, side * channels)
        self._in_first_row = True
        self._layers = network.layers.each()
        self._steps = [self._steps_at(column) for column in range(side)]

    def _steps_at(self, column: int) -> list[_Step]:
        """Return what each layer does there: views are made once, they would take time."""
        inputs = [*self.h, self.end]
        of_layers = zip(self._conditions[column], self._layers, inputs, inputs[1:], strict=False)
        steps = []
        for condition, layer, h, after in of_layers:
            first, second = condition.chunk(2, dim=-1)
            steps.append(_Step(condition, first, second, layer.here, layer.residual, h, after))
        return steps

    def next_row(self, above: Tensor) -> None:
        """Go to the next row; `above`: the codes (blocks, rows, side) of the row before."""
        before, v, ungated = self._v, self._next_v, self._ungated
        places = ungated.view(len(ungated), -1, self._conditions.shape[-1])
        embedded = look_up(self._network.embedding, above).flatten(2)
        for i, layer in enumerate(self._layers):
            bias = layer.vertical_bias
            if i == 0:  # mask A: the first layer does not see this row
                torch.baddbmm(bias, embedded, layer.upper, out=ungated)
            elif self._in_first_row:
                bias = torch.baddbmm(bias, before[i], layer.upper)
                torch.baddbmm(bias, v[i], layer.lower, out=ungated)
            else:
                torch.baddbmm(bias, before[i], layer.upper, out=ungated)
                ungated.baddbmm_(v[i], layer.lower)
            _condition(layer, ungated, [steps[i].both for steps in self._steps])
            if i + 1 < len(v):
                half_gate_(places, out=v[i + 1].view(*places.shape[:2], -1))
        self._v, self._next_v, self._last_v = v, self._last_v, v
        self._in_first_row = False

    def next_column(self, column: int, before: Tensor | None) -> Tensor:
        """Go to the next position of a row and return the stream's end (blocks, rows, width).

        Args:
            column: of the position.
            before: the embedded code (blocks, rows, width) of the position before in this row.
        """
        conditions = self._conditions[column]
        if self._in_first_row:
            conditions.copy_(self._first_row.conditions[column])
        if before is not None:
            self.h[0] = before
            left = self._network.layers.left
            conditions.flatten(0, 1).baddbmm_(self.h.flatten(0, 1), left.flatten(0, 1))
        for i, (both, first, second, here, residual, h, after) in enumerate(self._steps[column]):
            if i > 0:  # mask A: the first layer does not see the position itself
                both.baddbmm_(h, here)
            both.sigmoid_()
            first.mul_(second)
            if i == 0:
                torch.bmm(both, residual, out=after)
            else:
                torch.baddbmm(h, both, residual, out=after)
        return self.end


class _Step(NamedTuple):
    """What a layer does in the horizontal stream."""

    both: Tensor  # the condition, then its sigmoids, and their halves
    first: Tensor
    second: Tensor
    here: Tensor
    residual: Tensor
    h: Tensor
    after: Tensor


def _condition(layer: HalvedLayers, ungated: Tensor, out: Sequence[Tensor] | Tensor) -> None:
    """Write what the vertical stream gives the horizontal one at each position of a row."""
    bias = layer.first_bias
    for place, to in zip(ungated.chunk(len(out), dim=2), out, strict=True):
        torch.baddbmm(bias, place, layer.to_horizontal, out=to)
        bias = layer.bias
