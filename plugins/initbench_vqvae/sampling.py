"""Drawing codes from the gated PixelCNN, for all slices of all layers at once.

Position by position in raster order, but without doing anything twice. The first position is the
same for all slices of a layer, and the second depends on nothing but the first code: both are
computed once a model, for every code that may come. Of the others, `streams` keeps what the next
one needs, and `head` chooses most codes by rounded logits, without changing their distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import torch
from initbench_slices.stacking import Parameters, Part, look_up, parts
from torch import Tensor

from initbench_vqvae.halved import HalvedNetwork
from initbench_vqvae.head import Head, distribution, invert, logits, passed, share_in_full
from initbench_vqvae.prior import GatedPixelCNN
from initbench_vqvae.streams import FirstRow, Streams

_BLOCKS_ON_DEVICE = 512  # four ResNet-20s; their streams take 1.2 GB


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
    def draw(part: Part) -> None:
        codes = _draw(
            network.of_blocks(part.models), opening.of_blocks(part.models), part.rows(uniform)
        )
        drawn[part.blocks] = codes.view(drawn[part.blocks].shape)

    with torch.no_grad():
        network = HalvedNetwork.of(prior, parameters)
        opening = _Opening.of(network)
    every = parts(models, uniform.device, _BLOCKS_ON_DEVICE)
    threads = torch.get_num_threads() if uniform.device.type == "cpu" else 1
    if min(threads, len(every)) == 1:
        for part in every:
            draw(part)
        return drawn
    # Most products are too small for two threads to share one, so each has parts of its own. The
    # largest come first: at the end all threads are busy.
    every.sort(key=lambda part: part.blocks.start - part.blocks.stop)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(draw, every))
    finally:
        torch.set_num_threads(threads)  # also of threads that are yet to come
    return drawn


def _draw(network: HalvedNetwork, opening: _Opening, uniform: Tensor) -> Tensor:
    side = network.side
    uniform = uniform.movedim(2, 0).contiguous()
    drawn = [invert(opening.first, uniform[0])]
    if opening.second is None:
        return drawn[0][..., None]
    streams = Streams(network, opening.first_row, uniform.shape[2])
    drawn.append(opening.second.draw(drawn[0], uniform[1], streams))
    head = Head(network, opening.second.in_full, uniform)
    for place in range(2, side**2):
        column = place % side
        if column == 0:
            streams.next_row(torch.stack(drawn[-side:], dim=2))
        before = look_up(network.embedding, drawn[-1]) if column else None
        drawn.append(head.choose(streams.next_column(column, before), place))
    return torch.stack(drawn, dim=2)


@dataclass(frozen=True)
class _Opening:
    """What all slices of a model, or of a block's model, have in common."""

    first_row: FirstRow
    first: Tensor  # distribution function at the first position (models or blocks, 1, codes)
    second: _Second | None  # unless the first position is the only one

    @classmethod
    def of(cls, network: HalvedNetwork) -> Self:
        """Compute it."""
        first_row = FirstRow.of(network)
        start = Streams(network, first_row, 1)
        first = passed(logits(network.head, start.next_column(0, None)))
        second = _Second.of(network, first_row, start) if network.side > 1 else None
        return cls(first_row, first, second)

    def of_blocks(self, models: Sequence[int] | slice) -> _Opening:
        """Return the same for each block's model."""
        second = self.second.of_blocks(models) if self.second else None
        return _Opening(self.first_row.of_blocks(models), self.first[models], second)


@dataclass(frozen=True)
class _Second:
    """The second position of a model, or of a block's model: a row for each code before it."""

    passed: Tensor  # distribution functions (models or blocks, codes before, codes)
    h: Tensor  # inputs of all layers (layers, models or blocks, codes before, width)
    in_full: Tensor  # share of codes that must be drawn so at later positions (models or blocks,)

    @classmethod
    def of(cls, network: HalvedNetwork, first_row: FirstRow, start: Streams) -> Self:
        """Go there from the first position."""
        streams = Streams(network, first_row, network.embedding.shape[1])
        streams.h.copy_(start.h)
        end = streams.next_column(1, network.embedding)
        p = distribution(logits(network.head, end))
        in_full = share_in_full(network, end, p)
        return cls(p.cumsum_(2), streams.h, in_full)

    def of_blocks(self, models: Sequence[int] | slice) -> _Second:
        """Return the same for each block's model."""
        return _Second(self.passed[models], self.h[:, models], self.in_full[models])

    def draw(self, first: Tensor, uniform: Tensor, streams: Streams) -> Tensor:
        """Draw the codes (blocks, rows) of this position and bring the streams there."""
        for of_layer, known in zip(streams.h[1:], self.h[1:], strict=True):
            of_layer.copy_(look_up(known, first))
        return invert(look_up(self.passed, first), uniform)
