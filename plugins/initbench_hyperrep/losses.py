"""The reconstruction loss, plain and normalised layer by layer (Schürholt et al. 2022, section 2).

With K rows of N numbers, of which layer l has those of I_l,

    plain:       1 / (K N)  sum over l of                  sum over i in I_l of (found - true)^2
    normalised:  1 / (K N)  sum over l of 1 / sigma_l^2    sum over i in I_l of (found - true)^2

sigma_l is the standard deviation of all weights of layer l, biases included, of all training
networks together, at least 1e-4. The mean that the paper normalises by cancels.

R2 is 1 - loss / loss of the mean training network. It is the same with and without normalisation
for a layer, but not for a network, where normalisation gives every layer the same importance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from initbench_hyperrep.tokens import TokenTable

FLOOR = 1e-4


@dataclass(frozen=True)
class Yardstick:
    """What errors are divided by: the standard deviation of each layer, or ones."""

    table: TokenTable
    deviations: Tensor  # (layers,)

    @classmethod
    def of(cls, table: TokenTable, rows: Tensor, *, layer_normalised: bool) -> Yardstick:
        """Return the yardstick for training vectors (rows, size)."""
        if not layer_normalised:
            return cls(table, torch.ones(len(table.layers), device=rows.device))
        deviations = torch.stack([block.std() for block in table.blocks(rows)])
        return cls(table, deviations.clamp_min(FLOOR))

    def losses(self, found: Tensor, true: Tensor) -> Tensor:
        """Return the part of each layer in the loss, (layers,); the loss is their sum."""
        squares = self.table.blocks((found - true).square())
        sums = torch.stack([block.sum() for block in squares])
        return sums / self.deviations.to(sums.device).square() / true.numel()

    def loss(self, found: Tensor, true: Tensor) -> Tensor:
        return self.losses(found, true).sum()

    def spread(self, rows: Tensor) -> float:
        """Return the loss of rows when each is taken for their mean."""
        return float(self.loss(rows.mean(0).expand_as(rows), rows))


def explained(yardstick: Yardstick, found: Tensor, true: Tensor, mean: Tensor) -> Tensor:
    """Return R2 of each layer, and of the whole network last, (layers + 1,).

    `mean` (size,) is the mean training vector. R2 of a layer that never varies is NaN.
    """
    losses = yardstick.losses(found, true)
    usual = yardstick.losses(mean.expand_as(true), true)
    return 1 - torch.cat([losses, losses.sum()[None]]) / torch.cat([usual, usual.sum()[None]])
