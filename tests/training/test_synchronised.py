"""Batch norm over ranks is torch's batch norm of the whole batch.

Ranks are threads here: what they tell each other goes through a list.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import nn

from initbench.training.ranks import Ranks
from initbench.training.synchronised import SynchronisedBatchNorm

SHARES = [5, 3, 1]  # images of each rank


@dataclass
class Table:
    """Where all ranks put what they have to say."""

    barrier: Barrier = field(default_factory=lambda: Barrier(len(SHARES)))
    said: dict[int, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Threads(Ranks):
    table: Table

    def gathered(self, numbers: torch.Tensor) -> torch.Tensor:
        self.table.said[self.rank] = numbers
        self.table.barrier.wait(timeout=30)
        everything = torch.stack([self.table.said[rank] for rank in range(self.count)])
        self.table.barrier.wait(timeout=30)
        return everything

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.gathered(numbers).sum(0)


def _run(net: nn.Module, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the output of `net` after a backward pass from a weighted sum of it."""
    output = net(images)
    (output.float() * weights).sum().backward()
    return output.detach()


def _on_ranks(
    net: nn.Module, images: torch.Tensor, weights: torch.Tensor
) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
    """Return what each rank has in the end: network, gradient of its images, output."""
    table = Table()

    def one(rank: int, mine: torch.Tensor, of_mine: torch.Tensor) -> Any:
        copied, mine = copy.deepcopy(net), mine.clone().requires_grad_()
        with SynchronisedBatchNorm(Threads(rank, len(SHARES), table)):
            output = _run(copied, mine, of_mine)
        return copied, mine.grad, output

    parts = zip(range(len(SHARES)), images.split(SHARES), weights.split(SHARES), strict=True)
    with ThreadPoolExecutor(len(SHARES)) as pool:
        return [x.result() for x in [pool.submit(one, *part) for part in parts]]


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.BatchNorm2d(3), (3, 4, 4)),
        (nn.BatchNorm1d(3), (3,)),
        (nn.BatchNorm1d(3), (3, 7)),
        (nn.BatchNorm3d(3), (3, 2, 2, 2)),
        (nn.BatchNorm2d(3, affine=False), (3, 4, 4)),
        (nn.BatchNorm2d(3, track_running_stats=False), (3, 4, 4)),
        (nn.BatchNorm2d(3, momentum=None, eps=0.1), (3, 4, 4)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), (3, 4, 4)),
        (nn.BatchNorm2d(3).eval(), (3, 4, 4)),
    ],
)
def test_it_is_the_batch_norm_of_all_images_together(
    net: nn.Module, shape: tuple[int, ...]
) -> None:
    draws = torch.Generator().manual_seed(0)
    images = 3 * torch.randn((sum(SHARES), *shape), generator=draws) + 10
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(0.5, 1.5, generator=draws)
        weights = torch.randn(copy.deepcopy(net)(images).shape, generator=draws)
    whole, inputs = copy.deepcopy(net), images.clone().requires_grad_()
    expected = _run(whole, inputs, weights)

    ranks = _on_ranks(net, images, weights)
    torch.testing.assert_close(torch.cat([r[2] for r in ranks]), expected, rtol=1e-5, atol=1e-5)
    gradient = torch.cat([r[1] for r in ranks])
    torch.testing.assert_close(gradient, inputs.grad, rtol=1e-4, atol=1e-5)
    for name, parameter in whole.named_parameters():
        total = sum(dict(r[0].named_parameters())[name].grad for r in ranks)
        torch.testing.assert_close(total, parameter.grad, rtol=1e-4, atol=1e-4)
    for name, buffer in whole.named_buffers():
        for rank in ranks:
            torch.testing.assert_close(dict(rank[0].named_buffers())[name], buffer)


def test_bfloat16_is_normalised_with_statistics_in_float32() -> None:
    images = 100 + torch.rand(sum(SHARES), 3, 4, 4, generator=torch.Generator().manual_seed(0))
    half = images.bfloat16()
    weights = torch.ones_like(images)
    expected = nn.BatchNorm2d(3)(half.float())
    for (_, gradient, output), part in zip(
        _on_ranks(nn.BatchNorm2d(3), half, weights), expected.split(SHARES), strict=True
    ):
        assert output.dtype == gradient.dtype == torch.bfloat16
        torch.testing.assert_close(output.float(), part, rtol=0.01, atol=0.01)


def test_for_one_rank_it_is_what_torch_does() -> None:
    norm, images = nn.BatchNorm2d(3), torch.rand(4, 3, 2, 2)
    with SynchronisedBatchNorm(Threads(0, 1, Table(Barrier(1)))):
        inside = copy.deepcopy(norm)(images)
    torch.testing.assert_close(inside, norm(images))
