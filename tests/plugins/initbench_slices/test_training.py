"""Training a stack is training its models one by one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from initbench_slices.stacking import Parameters, Start, draw
from initbench_slices.training import BATCH, Adam, Lesson, SliceModel, epochs, train
from torch import Tensor

from initbench.api import PluginError


class Linear(SliceModel):
    """Predicts the last column from the others, with noise in the loss."""

    rate, weight_decay, averaged, noise = 0.01, 0.1, True, 2

    def starts(self) -> Mapping[str, Start]:
        return {"weight": Start((3,), 0.5)}

    def losses(self, parameters: Parameters, rows: Tensor, noise: Tensor) -> Tensor:
        predicted = (rows[..., :3] * parameters["weight"][:, None]).sum(2)
        return (predicted + 0.1 * noise.sum(2) - rows[..., 3]).square()


def lesson(rows: int, length: int, seed: int) -> Lesson:
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(rows + 64, 4, generator=generator)
    return Lesson(f"layer{seed}", data[:rows], data[rows:], length, generator)


def test_a_model_does_not_depend_on_its_stack() -> None:
    sizes = [(300, 2), (128, 9), (700, 3), (5, 4)]
    together = train(Linear(), [lesson(*size, seed) for seed, size in enumerate(sizes)])
    for seed, size in enumerate(sizes):
        alone = train(Linear(), [lesson(*size, seed)])
        torch.testing.assert_close(together["weight"][seed], alone["weight"][0])


def test_training_is_adam_with_coupled_decay_on_every_row_once_an_epoch() -> None:
    ours = train(Linear(), [lesson(300, 2, 7)])["weight"][0]
    it = lesson(300, 2, 7)
    weight = draw(Linear().starts(), [it.generator])[0].requires_grad_()
    optimiser = torch.optim.Adam([weight], weight_decay=0.1)
    for epoch in range(2):
        order = torch.randperm(300, generator=it.generator)
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - epoch / 2)
        for batch in order.split(BATCH):
            noise = torch.randn(BATCH, 2, generator=it.generator)[None, : len(batch)]
            optimiser.zero_grad()
            losses = Linear().losses({"weight": weight[None]}, it.train[None, batch], noise)
            losses.mean().backward()
            optimiser.step()
    torch.testing.assert_close(ours, weight.detach())


def test_adam_moves_each_model_at_its_own_rate() -> None:
    flat = torch.randn(2, 5)
    gradients = [torch.randn(2, 5) for _ in range(3)]
    ours = flat.clone()
    adam = Adam(ours, weight_decay=0.3)
    for gradient in gradients:
        adam.step(gradient, torch.tensor([[0.1], [0.02]]))
    for i, rate in enumerate([0.1, 0.02]):
        theirs = flat[i].clone().requires_grad_()
        optimiser = torch.optim.Adam([theirs], lr=rate, weight_decay=0.3)
        for gradient in gradients:
            theirs.grad = gradient[i]
            optimiser.step()
        torch.testing.assert_close(ours[i], theirs.detach())


def test_the_best_parameters_are_kept_not_the_last() -> None:
    class Restless(Linear):
        """Steps so far that it never settles; what it is judged at is written down."""

        rate, noise = 50.0, 0

        def losses(self, parameters: Parameters, rows: Tensor, noise: Tensor) -> Tensor:
            losses = (rows[..., :3] * parameters["weight"][:, None]).sum(2).square()
            if not torch.is_grad_enabled():
                judged.append((float(losses.mean()), parameters["weight"].clone()))
            return losses

    judged: list[tuple[float, Tensor]] = []
    kept = train(Restless(), [lesson(256, 100, 1)])["weight"]
    best = min(judged, key=lambda pair: pair[0])
    assert len(judged) > 3
    assert torch.equal(kept, best[1])


def test_a_model_that_is_never_finite_is_refused_by_name() -> None:
    broken = lesson(128, 1, 3)
    broken.train.fill_(torch.nan)
    with pytest.raises(PluginError, match="`layer3` diverged"):
        train(Linear(), [lesson(128, 1, 2), broken])


def test_the_published_epochs_and_steps() -> None:
    published = {48: (3648, 4350), 256: (19456, 6840), 512: (38912, 7600), 1024: (77824, 6080),
                 2048: (155648, 8512), 4096: (311296, 9728)}  # fmt: skip
    for slices, (rows, steps) in published.items():
        length = epochs(slices, rows, 2000)
        assert length * -(-rows // BATCH) == steps


def test_small_zoos_are_trained_for_the_least_number_of_steps() -> None:
    assert epochs(48, 60, 2000) == 2000
    assert epochs(4096, 4096, 100) == 4


def test_epochs_are_scaled_down_but_not_to_nothing() -> None:
    assert epochs(48, 4096, 1, scale=0.06) == 9
    assert epochs(4096, 4096, 1, scale=0.01) == 1
    assert epochs(4096, 4096, 100, scale=0.01) == 4  # of 32 steps each
