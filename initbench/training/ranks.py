"""Ranks: processes that train one member together, and what they tell each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    """The processes of the default group of torch.distributed, and which of them this one is.

    Each call is answered only when every rank has made it.
    """

    rank: int
    count: int

    @classmethod
    def here(cls) -> Ranks:
        """Return the ranks of the group that this process has joined."""
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, indices: torch.Tensor) -> torch.Tensor:
        """Return this rank's part of `indices`; parts differ in length by one at most."""
        return indices.tensor_split(self.count)[self.rank]

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the sum of `numbers` over all ranks: the same bits on each of them."""
        total = numbers.clone()
        dist.all_reduce(total)
        return total

    def gathered(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return `numbers` of every rank: (ranks, *shape)."""
        rows = [torch.empty_like(numbers) for _ in range(self.count)]
        dist.all_gather(rows, numbers.contiguous())
        return torch.stack(rows)
