"""Networks with their neurons in one common order, so that mixtures of them are networks.

Beyond the papers, and off by default (`align`). Networks of different seeds have alike neurons in
different places; what lies between two of them is like neither. Ainsworth, Hayase, Srinivasa 2023,
"Git Re-Basin" (arXiv 2209.04836), section 3.2 and algorithms 1 and 3: put the neurons of each
network in the order that brings it closest to a reference, one layer after another while the others
stay, until no layer moves; take the mean of all as the next reference. Schürholt, Mahoney, Borth
2024 (arXiv 2406.09997) align zoos in this way before they learn from them. Orders do not change
what a network computes (`augmentation`).

For one layer, with s(i, j) the inner product of all that belongs to neuron i of the reference (its
token, and the weights of the next layer that read it) and to neuron j of the network, the order p
maximises the sum over i of s(i, p(i)): an assignment problem, whose solution is the closest order.

Deviations:
- Distances are those of the reconstruction loss: divided, layer by layer, by the deviation of the
  layer where the loss is normalised (`losses`).
- Layers in forward order, not in a random one: nothing is drawn.
- All networks are matched to the mean of all training networks at once, not each to the mean of the
  others. So neither step can increase their distances to it. The first reference is the network
  with the best validation accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from initbench_hyperrep.augmentation import permuted
from initbench_hyperrep.losses import Yardstick

ROUNDS = 30
"""At most, of matching all networks to their mean."""

_SWEEPS = 100  # at most, over the layers; each brings networks closer, so a few are enough
_SAME = 1e-9  # gains below this, relative to the similarity, are rounding


@dataclass(frozen=True)
class Matching:
    """Brings networks into the order of a reference."""

    yardstick: Yardstick
    movable: Sequence[int]
    """Positions of the layers whose neurons may change places."""

    def aligned(self, rows: Tensor, reference: Tensor) -> Tensor:
        """Return vectors (rows, size) with their neurons ordered like a reference (size,)."""
        for _ in range(_SWEEPS):
            before = rows
            for layer in self.movable:
                orders = closest_orders(self.similarities(rows, reference, layer))
                rows = permuted(rows, self.yardstick.table, {layer: orders})
            if torch.equal(rows, before):
                break
        return rows

    def reference(self, rows: Tensor, first: int) -> Tensor:
        """Return what vectors (rows, size) agree on: their mean, once aligned (size,).

        `first` is the row that the others are matched to at first.
        """
        reference = rows[first]
        for _ in range(ROUNDS):
            before, rows = rows, self.aligned(rows, reference)
            if torch.equal(rows, before):
                break
            reference = rows.mean(0)
        return reference

    def similarities(self, rows: Tensor, reference: Tensor, layer: int) -> Tensor:
        """Return s(i, j) for a layer, (rows, neurons of the reference, neurons)."""
        own, other = self._neurons(rows, layer), self._neurons(reference[None], layer)
        return other @ own.mT

    def _neurons(self, rows: Tensor, layer: int) -> Tensor:
        """Return all that belongs to each neuron of a layer, (rows, neurons, numbers)."""
        table, deviations = self.yardstick.table, self.yardstick.deviations.double()
        blocks = table.blocks(rows.double())
        following = table.layers[layer + 1]
        read, _ = following.blocks(blocks[layer + 1])
        read = read.unflatten(2, (following.channels, following.kernel)).transpose(1, 2).flatten(2)
        tokens = table.layers[layer].tokens(blocks[layer])
        return torch.cat([tokens / deviations[layer], read / deviations[layer + 1]], dim=2)


def closest_orders(similarities: Tensor) -> Tensor:
    """Return for each row the order with the largest sum of similarities, (rows, neurons).

    `similarities` is (rows, neurons of the reference, neurons). Where the neurons are as well off
    as they are, they stay, so that matching comes to an end.
    """
    found = [linear_sum_assignment(s, maximize=True)[1] for s in similarities.cpu().numpy()]
    orders = torch.from_numpy(np.stack(found)).to(similarities.device)
    gained = similarities.gather(2, orders[:, :, None]).sum((1, 2))
    stayed = similarities.diagonal(dim1=1, dim2=2).sum(1)
    better = gained - stayed > _SAME * similarities.abs().sum((1, 2))
    return torch.where(better[:, None], orders, torch.arange(orders.shape[1], device=orders.device))
