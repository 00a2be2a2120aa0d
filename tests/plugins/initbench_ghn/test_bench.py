"""The benchmark compares like with like: both sides take the same step."""

from __future__ import annotations

import pytest
import torch
from initbench_ghn import bench


@pytest.mark.parametrize("noise", [False, True])
def test_both_sides_take_the_same_step(noise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "DEPTHS", (8, 14))
    # Noise of one draw and architecture after another: the loop draws in another order.
    monkeypatch.setattr(bench.GHN, "draw_noise", _fixed if noise else bench.GHN.draw_noise)
    images, labels = torch.randn(4, 3, 32, 32), torch.randint(10, (4,))
    weights = []
    for side in (bench.batched, bench.looped):
        trainer = bench.made(noise, 4, "cpu")
        trainer.adam.param_groups[0].update(lr=1.0, eps=1.0, weight_decay=0.0)
        side(trainer, images, labels)
        weights.append(torch.cat([x.detach().flatten() for x in trainer.ghn.parameters()]))
    first, second = weights
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    assert (first - torch.cat([x.flatten() for x in _start(noise)])).abs().max() > 0.01


def _fixed(ghn: bench.GHN, graph: object, generator: object) -> torch.Tensor:
    return torch.linspace(-1, 1, 8).expand(len(graph), 8)  # type: ignore[arg-type]


def _start(noise: bool) -> list[torch.Tensor]:
    return [x.detach() for x in bench.made(noise, 4, "cpu").ghn.parameters()]
