"""Drawing codes from the gated PixelCNN, for all slices of all layers at once.

Position by position in raster order, but without doing anything twice. What a position needs of
those before it is kept, so one position costs a ninth of the network and not all of it. The first
position is the same for all slices of a layer, and the second depends on nothing but the first
code: both are computed once a model, for every code that may come.

Two thirds of what is left to compute are the two layers that turn the horizontal stream into
logits. The rest is many small steps, for which `halved` has the prior rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import torch
from initbench_slices.stacking import Parameters, look_up
from torch import Tensor

from initbench_vqvae.halved import HalvedNetwork, half_gate
from initbench_vqvae.prior import GatedPixelCNN

_BLOCKS_AT_ONCE = 8  # a thread, on a CPU: what one product leaves the next finds in the caches
_BLOCKS_ON_DEVICE = 1024  # nine ResNet-20s; their hidden units take half a gigabyte
_ROWS_CLASSIFIED = 512  # at once, a thread, on a CPU: so do the many units of the last layers


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
    network = HalvedNetwork.of(prior, parameters)
    opening = _Opening.of(network)
    drawn = []
    for part in _parts(models, uniform.device):
        own: Sequence[int] | slice = models[part]
        wanted = uniform[part]
        if len(set(models[part])) == 1:  # one product serves all rows
            own = slice(models[part.start], models[part.start] + 1)
            wanted = wanted.flatten(0, 1)[None]
        codes = _draw(network.of_blocks(own), opening.of_blocks(own), wanted)
        drawn.append(codes.view(uniform[part].shape))
    return torch.cat(drawn)


def _parts(models: Sequence[int], device: torch.device) -> list[slice]:
    """Return which blocks are drawn at once.

    On a CPU as many of one model as stay in its caches from one product to the next, elsewhere as
    many as memory is sure to hold.
    """
    if device.type != "cpu":
        starts = range(0, len(models), _BLOCKS_ON_DEVICE)
        return [slice(first, first + _BLOCKS_ON_DEVICE) for first in starts]
    at_once = _BLOCKS_AT_ONCE * torch.get_num_threads()
    parts, first = [], 0
    for _, alike in groupby(models):
        end = first + len(list(alike))
        parts += [slice(i, min(i + at_once, end)) for i in range(first, end, at_once)]
        first = end
    return parts


def _draw(network: HalvedNetwork, opening: _Opening, uniform: Tensor) -> Tensor:
    side = network.side
    vertical = _Vertical(network)
    horizontal = _Horizontal(network)
    vertical.next_row(None)
    drawn = opening.draw(uniform, horizontal)
    for place in range(len(drawn), side**2):
        row, column = divmod(place, side)
        if row and column == 0:
            vertical.next_row(torch.stack(drawn[-side:], dim=2))
        before = look_up(network.embedding, drawn[-1]) if column else None
        h = horizontal.next_column(column, vertical, before)
        drawn.append(_classify(network, h, uniform[:, :, place]))
    return torch.stack(drawn, dim=2)


def _classify(network: HalvedNetwork, h: Tensor, uniform: Tensor) -> Tensor:
    """Return the codes (blocks, rows) that uniform numbers choose at the stream's end."""
    at_once = h.shape[1]
    if h.device.type == "cpu":
        at_once = _ROWS_CLASSIFIED * torch.get_num_threads()
    parts = zip(h.split(at_once, dim=1), uniform.split(at_once, dim=1), strict=True)
    return torch.cat([choose(network.logits(rows), own) for rows, own in parts], dim=1)


def choose(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return for each row the code at which the distribution function passes `uniform`.

    Args:
        logits: (blocks, rows or 1, codes).
        uniform: (blocks, rows).
    """
    return _invert(_passed(logits), uniform)


def _passed(logits: Tensor) -> Tensor:
    """Return distribution functions over the codes in the last dimension."""
    return logits.softmax(2).cumsum(2)


def _invert(passed: Tensor, uniform: Tensor) -> Tensor:
    """Do the same for distribution functions (blocks, rows or 1, codes)."""
    wanted = uniform[..., None] * passed[:, :, -1:]
    if passed.shape[1] < wanted.shape[1]:  # one function for all rows
        found = torch.searchsorted(passed[:, 0], wanted[..., 0], right=True)
    else:
        found = torch.searchsorted(passed, wanted, right=True)[..., 0]
    # A uniform number of nearly 1 may be rounded up to the end.
    return found.clamp_max_(passed.shape[2] - 1)


class _Vertical:
    """The vertical stream at the current row: one tensor a layer, rows (or 1) in dimension 1."""

    def __init__(self, network: HalvedNetwork) -> None:
        self.network = network
        self.inputs: list[Tensor | None] = [None] * len(network.layers)  # of each layer
        self.ungated: list[Tensor] = []  # of each layer: (blocks, rows or 1, side, channels)

    def next_row(self, above: Tensor | None) -> None:
        """Go to the next row; `above`: the codes (blocks, rows, side) of the row before."""
        self.ungated = []
        v: Tensor | None = None
        embedded = None if above is None else look_up(self.network.embedding, above).flatten(2)
        for i, layer in enumerate(self.network.layers):
            now = layer.vertical_bias.clone()
            now = _plus(now, embedded if i == 0 else self.inputs[i], layer.upper)
            now = _plus(now, v, layer.lower)  # mask A: the first layer does not see this row
            self.inputs[i] = v
            self.ungated.append(now.unflatten(2, (self.network.side, -1)))
            if i + 1 < len(self.network.layers):
                v = half_gate(self.ungated[i]).flatten(2)


class _Horizontal:
    """The horizontal stream at the current position."""

    def __init__(self, network: HalvedNetwork) -> None:
        self.network = network
        self.inputs: list[Tensor | None] = [None] * len(network.layers)  # of each layer

    def next_column(self, column: int, vertical: _Vertical, before: Tensor | None) -> Tensor:
        """Go to the next position of a row and return the stream's end (blocks, rows, width).

        Args:
            column: of the position.
            vertical: the other stream, at this row.
            before: the embedded code of the position before in this row.
        """
        left = [before, *self.inputs[1:]] if column else [None] * len(self.inputs)
        h: Tensor | None = None  # mask A: the first layer does not see the position itself
        for i, layer in enumerate(self.network.layers):
            bias = layer.bias if column else layer.first_bias
            t = torch.baddbmm(bias, vertical.ungated[i][:, :, column], layer.to_horizontal)
            t = _plus(_plus(t, left[i], layer.left), h, layer.here)
            sigmoids = t.sigmoid_()
            first, second = sigmoids.chunk(2, dim=-1)
            first.mul_(second)
            self.inputs[i] = h
            if h is None:
                h = torch.bmm(sigmoids, layer.residual)
            else:
                h = torch.baddbmm(h, sigmoids, layer.residual)
        assert h is not None
        return h


@dataclass(frozen=True)
class _Opening:
    """The first two positions: one row a model at the first, one row a code at the second."""

    first: Tensor  # distribution function (models or blocks, 1, codes)
    second: Tensor | None = None  # (models or blocks, codes before, codes)
    inputs: Tensor | None = None  # of all layers but the first there (..., codes before, widths)

    @classmethod
    def of(cls, network: HalvedNetwork) -> Self:
        vertical, horizontal = _Vertical(network), _Horizontal(network)
        vertical.next_row(None)
        first = _passed(network.logits(horizontal.next_column(0, vertical, None)))
        if network.side == 1:
            return cls(first)
        second = _passed(network.logits(horizontal.next_column(1, vertical, network.embedding)))
        return cls(first, second, torch.cat([x for x in horizontal.inputs if x is not None], dim=2))

    def of_blocks(self, models: Sequence[int] | slice) -> _Opening:
        """Return the same for each block's model."""
        if self.second is None or self.inputs is None:
            return _Opening(self.first[models])
        return _Opening(self.first[models], self.second[models], self.inputs[models])

    def draw(self, uniform: Tensor, horizontal: _Horizontal) -> list[Tensor]:
        """Draw the codes (blocks, rows) of these positions and bring the stream to the last."""
        first = _invert(self.first, uniform[:, :, 0])
        if self.second is None or self.inputs is None:
            return [first]
        layers = len(horizontal.inputs) - 1
        horizontal.inputs[1:] = look_up(self.inputs, first).chunk(layers, dim=2)
        return [first, _invert(look_up(self.second, first), uniform[:, :, 1])]


def _plus(total: Tensor, x: Tensor | None, matrix: Tensor) -> Tensor:
    """Return total + x @ matrix, in the place of `total` if it has as many rows."""
    if x is None:
        return total
    if total.shape[1] == x.shape[1]:
        return total.baddbmm_(x, matrix)
    return torch.baddbmm(total, x, matrix)
