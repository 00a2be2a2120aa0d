"""Drawing codes from the gated PixelCNN, for all slices of all layers at once.

Position by position in raster order, but without doing anything twice. The first position is the
same for all slices of a layer, and the second depends on nothing but the first code: both are
computed once a model, for every code that may come. Of the others, `streams` keeps what the next
one needs. Two thirds of what is left to compute are the two layers that turn the horizontal stream
into logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Self

import torch
from initbench_slices.stacking import Parameters, look_up
from torch import Tensor

from initbench_vqvae.halved import HalvedNetwork
from initbench_vqvae.prior import GatedPixelCNN
from initbench_vqvae.streams import FirstRow, Streams

_BLOCKS_AT_ONCE = 8  # on a CPU: more leave the caches, fewer are many small steps
_BLOCKS_ON_DEVICE = 512  # four ResNet-20s; their streams take 1.2 GB
_ROWS_CLASSIFIED = 512  # at once, on a CPU: so the many units of the last layers stay in caches


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
    drawn = torch.empty_like(uniform, dtype=torch.long)

    @torch.no_grad()
    def draw(part: slice) -> None:
        own: Sequence[int] | slice = models[part]
        wanted = uniform[part]
        if len(set(models[part])) == 1:  # one product serves all rows
            own = slice(models[part.start], models[part.start] + 1)
            wanted = wanted.flatten(0, 1)[None]
        codes = _draw(network.of_blocks(own), opening.of_blocks(own), wanted)
        drawn[part] = codes.view(drawn[part].shape)

    with torch.no_grad():
        network = HalvedNetwork.of(prior, parameters)
        opening = _Opening.of(network)
    parts = _parts(models, uniform.device)
    threads = torch.get_num_threads() if uniform.device.type == "cpu" else 1
    if min(threads, len(parts)) == 1:
        for part in parts:
            draw(part)
        return drawn
    # Most products are too small for two threads to share one, so each has parts of its own. The
    # largest come first: at the end all threads are busy.
    parts.sort(key=lambda part: part.start - part.stop)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(draw, parts))
    finally:
        torch.set_num_threads(threads)  # also of threads that are yet to come
    return drawn


def _parts(models: Sequence[int], device: torch.device) -> list[slice]:
    """Return which blocks are drawn at once.

    On a CPU as many of one model as stay in its caches from one product to the next, and models
    that draw one block with their neighbours; elsewhere as many as memory is sure to hold.
    """
    if device.type != "cpu":
        return _pieces(0, len(models), _BLOCKS_ON_DEVICE)
    changes = [i for i in range(1, len(models)) if models[i] != models[i - 1]]
    runs = pairwise([0, *changes, len(models)])
    parts = []
    for alone, group in groupby(runs, key=lambda run: run[1] - run[0] == 1):
        spans = list(group)
        if alone:
            spans = [(spans[0][0], spans[-1][1])]
        parts += [part for span in spans for part in _pieces(*span, _BLOCKS_AT_ONCE)]
    return parts


def _pieces(first: int, end: int, at_once: int) -> list[slice]:
    return [slice(i, min(i + at_once, end)) for i in range(first, end, at_once)]


def _draw(network: HalvedNetwork, opening: _Opening, uniform: Tensor) -> Tensor:
    side = network.side
    uniform = uniform.movedim(2, 0).contiguous()
    streams = Streams(network, opening.first_row, uniform.shape[2])
    head = _Head(network, uniform.shape[2])
    drawn = opening.draw(uniform, streams)
    for place in range(len(drawn), side**2):
        row, column = divmod(place, side)
        if row and column == 0:
            streams.next_row(torch.stack(drawn[-side:], dim=2))
        before = look_up(network.embedding, drawn[-1]) if column else None
        drawn.append(head.choose(streams.next_column(column, before), uniform[place]))
    return torch.stack(drawn, dim=2)


class _Head:
    """The two layers that turn the horizontal stream into logits; tensors are made once."""

    def __init__(self, network: HalvedNetwork, rows: int) -> None:
        self.network = network
        blocks, width_and_one, hidden = network.hidden.shape
        on_cpu = network.hidden.device.type == "cpu"
        self.at_once = min(rows, max(_ROWS_CLASSIFIED // blocks, 1)) if on_cpu else rows
        empty = network.hidden.new_empty
        self._with_one = empty(blocks, self.at_once, width_and_one).fill_(1)
        self._hidden = empty(blocks, self.at_once, hidden)

    def logits(self, h: Tensor) -> Tensor:
        """Return logits (blocks, rows, codes) of so many rows of the stream's end as fit."""
        rows = h.shape[1]
        with_one, hidden = self._with_one[:, :rows], self._hidden[:, :rows]
        with_one[..., :-1] = h
        torch.bmm(with_one, self.network.hidden, out=hidden).relu_()
        return torch.baddbmm(self.network.output_bias, hidden, self.network.output)

    def choose(self, h: Tensor, uniform: Tensor) -> Tensor:
        """Return the codes (blocks, rows) that uniform numbers choose at the stream's end."""
        parts = zip(h.split(self.at_once, dim=1), uniform.split(self.at_once, dim=1), strict=True)
        return torch.cat([choose(self.logits(rows), own) for rows, own in parts], dim=1)


def choose(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return for each row the code at which the distribution function passes `uniform`.

    Args:
        logits: (blocks, rows or 1, codes).
        uniform: (blocks, rows).
    """
    return _invert(_passed(logits), uniform)


def _passed(logits: Tensor) -> Tensor:
    """Return distribution functions over the codes in the last dimension."""
    return logits.softmax(2).cumsum_(2)


def _invert(passed: Tensor, uniform: Tensor) -> Tensor:
    """Do the same for distribution functions (blocks, rows or 1, codes)."""
    wanted = uniform[..., None] * passed[:, :, -1:]
    if passed.shape[1] < wanted.shape[1]:  # one function for all rows
        found = torch.searchsorted(passed[:, 0], wanted[..., 0], right=True)
    else:
        found = torch.searchsorted(passed, wanted, right=True)[..., 0]
    # A uniform number of nearly 1 may be rounded up to the end.
    return found.clamp_max_(passed.shape[2] - 1)


@dataclass(frozen=True)
class _Opening:
    """The first two positions: one row a model at the first, one row a code at the second."""

    first_row: FirstRow
    first: Tensor  # distribution function (models or blocks, 1, codes)
    second: Tensor | None = None  # (models or blocks, codes before, codes)
    h: Tensor | None = None  # inputs of all layers there (layers, models or blocks, codes, width)

    @classmethod
    def of(cls, network: HalvedNetwork) -> Self:
        first_row = FirstRow.of(network)
        codes = network.embedding.shape[1]
        start, head = Streams(network, first_row, 1), _Head(network, codes)
        first = _passed(head.logits(start.next_column(0, None)))
        if network.side == 1:
            return cls(first_row, first)
        streams = Streams(network, first_row, codes)
        streams.h.copy_(start.h)
        end = streams.next_column(1, network.embedding)
        logits = [head.logits(rows) for rows in end.split(head.at_once, dim=1)]
        return cls(first_row, first, _passed(torch.cat(logits, dim=1)), streams.h)

    def of_blocks(self, models: Sequence[int] | slice) -> _Opening:
        """Return the same for each block's model."""
        first_row, first = self.first_row.of_blocks(models), self.first[models]
        if self.second is None or self.h is None:
            return _Opening(first_row, first)
        return _Opening(first_row, first, self.second[models], self.h[:, models])

    def draw(self, uniform: Tensor, streams: Streams) -> list[Tensor]:
        """Draw the codes (blocks, rows) of these positions and bring the streams to the last."""
        first = _invert(self.first, uniform[0])
        if self.second is None or self.h is None:
            return [first]
        for of_layer, known in zip(streams.h[1:], self.h[1:], strict=True):
            of_layer.copy_(look_up(known, first))
        return [first, _invert(look_up(self.second, first), uniform[1])]
