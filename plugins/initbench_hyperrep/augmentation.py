"""Views of networks: neurons in another order, blocks set to zero (Schürholt et al. 2021, 2022).

Permutation. For an order p of the neurons of a layer, neuron i is the former neuron p(i): its
weights and vectors move, and so do the weights of the next layer that belong to it (`kernel` of
them for each neuron there: positions behind a flatten move together). The function stays the same.

Random erasing. In half of all rows a block is set to zero: of floor(u N) numbers, u uniform in
(0.02, 0.33), starting anywhere; one that would pass the end is drawn again, up to 10 times.

Deviations:
- Orders are drawn anew for each row on the device; the code draws 25,000 joint orders once. The
  distribution is the same but for that finite pool, and nothing is read from memory.
- Which layers may be permuted is found out by trying (`permutable`). In the zoo CNN that is all but
  the last; across the sums of a residual network the next layer in line is not the only one that
  reads a neuron, and such layers are left alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from initbench_hyperrep.tokens import TokenLayer, TokenTable

ATTEMPTS = 10
_SAME = 1e-9  # in double precision, relative to the largest output


@dataclass(frozen=True)
class Erasing:
    """How often and how much is set to zero; lengths are shares of a vector."""

    probability: float = 0.5
    shortest: float = 0.02
    longest: float = 0.33


@dataclass(frozen=True)
class Views:
    """Draws views of vectors, on the device of its generator."""

    table: TokenTable
    permutable: Sequence[int]
    """Positions of the layers whose neurons may change places."""
    erasing: Erasing
    generator: torch.Generator

    def draw(self, rows: Tensor) -> Tensor:
        """Return a view of each vector (rows, size)."""
        orders = {
            layer: random_orders(len(rows), self.table.layers[layer].neurons, self.generator)
            for layer in self.permutable
        }
        return erased(permuted(rows, self.table, orders), self.erasing, self.generator)


def random_orders(rows: int, neurons: int, generator: torch.Generator) -> Tensor:
    """Return a random order for each row, (rows, neurons)."""
    return torch.rand(rows, neurons, generator=generator, device=generator.device).argsort(1)


def permuted(rows: Tensor, table: TokenTable, orders: Mapping[int, Tensor]) -> Tensor:
    """Return vectors (rows, size) with neurons in the given orders, by layer (rows, neurons)."""
    every = torch.arange(len(rows), device=rows.device)
    blocks = []
    for i, (layer, block) in enumerate(zip(table.layers, table.blocks(rows), strict=True)):
        weights, vectors = layer.blocks(block)
        own, before = orders.get(i), orders.get(i - 1)
        if before is not None:
            weights = weights.unflatten(2, (layer.channels, layer.kernel))
            if own is None:
                weights = weights[every[:, None], :, before].transpose(1, 2)
            else:
                weights = weights[every[:, None, None], own[:, :, None], before[:, None]]
        elif own is not None:
            weights = weights[every[:, None], own]
        if own is not None:
            vectors = vectors.gather(2, own[:, None].expand_as(vectors))
        blocks += [weights.flatten(1), vectors.flatten(1)]
    return torch.cat(blocks, dim=1)


def erased(rows: Tensor, erasing: Erasing, generator: torch.Generator) -> Tensor:
    """Return vectors (rows, size) of which some have a block of zeros."""
    count, size = rows.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=rows.device)

    shares = erasing.shortest + (erasing.longest - erasing.shortest) * uniform(count, ATTEMPTS)
    lengths = (shares * size).long()
    starts = (uniform(count, ATTEMPTS) * size).long()
    fits = starts + lengths < size
    first = fits.long().argmax(1, keepdim=True)
    start, length = starts.gather(1, first), lengths.gather(1, first)
    chosen = (uniform(count, 1) < erasing.probability) & fits.any(1, keepdim=True)
    places = torch.arange(size, device=rows.device)
    return rows.masked_fill(chosen & (places >= start) & (places < start + length), 0.0)


@torch.no_grad()
def permutable(
    network: nn.Module, table: TokenTable, images: Tensor, generator: torch.Generator
) -> list[int]:
    """Return the layers that can be permuted without a change of the function.

    Each layer is tried: random weights, one random order that is not the given one, in double
    precision, on images (images, channels, height, width).
    """
    judged = copy.deepcopy(network).double().eval().cpu()
    vector = torch.cat([_drawn(layer, generator) for layer in table.layers])[None].double()
    pixels = images.cpu().double()

    def outputs(row: Tensor) -> Tensor:
        found: Tensor = functional_call(judged, table.state(row[0]), (pixels,))
        return found

    usual = outputs(vector)
    tolerance = _SAME * float(usual.abs().max())
    found = []
    for i, (layer, following) in enumerate(zip(table.layers, table.layers[1:], strict=False)):
        if following.channels != layer.neurons or layer.neurons < 2:
            continue
        order = torch.randperm(layer.neurons, generator=generator)
        if torch.equal(order, torch.arange(layer.neurons)):
            order = order.roll(1)
        other = outputs(permuted(vector, table, {i: order[None]}))
        if float((other - usual).abs().max()) <= tolerance:
            found.append(i)
    return found


def _drawn(layer: TokenLayer, generator: torch.Generator) -> Tensor:
    """Return a random block whose outputs are neither large nor small."""
    weights = torch.randn(layer.neurons * layer.fan, generator=generator) / math.sqrt(layer.fan)
    vectors = torch.rand(layer.size - len(weights), generator=generator)
    return torch.cat([weights, vectors])
