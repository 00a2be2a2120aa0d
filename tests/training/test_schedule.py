"""Rates and evaluation steps are those of torch's schedulers and of the protocol."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from initbench.training.recipe import Recipe
from initbench.training.schedule import (
    RateSchedule,
    evaluation_steps,
    steps_per_epoch,
    total_steps,
)
from tests.training.networks import recipe

IMAGES = 50  # in batches of 8: 7 steps an epoch


def _rates(schedule: dict[str, Any], epochs: int = 6) -> list[float]:
    chosen = recipe(schedule=schedule, epochs=epochs, optimiser={"name": "sgd", "lr": 0.3})
    rates = RateSchedule(chosen, IMAGES)
    return [rates.rate(step) for step in range(total_steps(chosen, IMAGES))]


def _optimiser() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)


def _torch_rates(scheduler: lr_scheduler.LRScheduler, steps: int = 42) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def test_constant_is_constant() -> None:
    assert _rates({"name": "constant"}) == [0.3] * 42


@pytest.mark.parametrize(("unit", "scale"), [("epoch", 7), ("batch", 1)])
def test_step_drops_like_torch(unit: str, scale: int) -> None:
    expected = lr_scheduler.MultiStepLR(_optimiser(), [2 * scale, 4 * scale], gamma=0.5)
    schedule = {"name": "step", "milestones": [2, 4], "factors": [0.5, 0.5], "unit": unit}
    assert _rates(schedule) == pytest.approx(_torch_rates(expected))


def test_after_epoch_80_means_from_epoch_81_on() -> None:
    schedule = {"name": "step", "milestones": [2, 4], "factors": [0.5, 0.2]}
    by_epoch = _rates(schedule)[::7]
    assert by_epoch == pytest.approx([0.3, 0.3, 0.15, 0.15, 0.03, 0.03])
    assert _rates(schedule)[13:15] == pytest.approx([0.3, 0.15])


@pytest.mark.parametrize("warmup", [0, 5])
def test_cosine_falls_like_torch(warmup: int) -> None:
    optimiser = _optimiser()
    falling = lr_scheduler.CosineAnnealingLR(optimiser, T_max=42 - warmup, eta_min=0.01)
    expected: lr_scheduler.LRScheduler = falling
    if warmup:
        optimiser = _optimiser()
        rising = lr_scheduler.LinearLR(optimiser, 1 / (warmup + 1), total_iters=warmup)
        falling = lr_scheduler.CosineAnnealingLR(optimiser, T_max=42 - warmup, eta_min=0.01)
        expected = lr_scheduler.SequentialLR(optimiser, [rising, falling], [warmup])
    rates = _rates({"name": "cosine", "final": 0.01, "warmup_batches": warmup})
    assert rates == pytest.approx(_torch_rates(expected))


@pytest.mark.parametrize("warmup", [0, 5, 9])
def test_a_cosine_by_epoch_stays_within_an_epoch_what_it_is_at_its_start(warmup: int) -> None:
    by_batch = _rates({"name": "cosine", "final": 0.01, "warmup_batches": warmup})
    rates = _rates({"name": "cosine", "final": 0.01, "warmup_batches": warmup, "unit": "epoch"})
    # An epoch in which the warm-up ends stays at the full rate.
    starts = [max(7 * epoch, warmup) for epoch in range(6) for _ in range(7)]
    expected = [by_batch[max(start, min(step, warmup))] for step, start in enumerate(starts)]
    assert rates[warmup:] == pytest.approx(expected[warmup:])
    assert rates[:warmup] == by_batch[:warmup]


def test_a_cosine_by_epoch_is_the_one_that_torch_scripts_step_once_an_epoch() -> None:
    expected = lr_scheduler.CosineAnnealingLR(_optimiser(), T_max=6)
    rates = _rates({"name": "cosine", "unit": "epoch"})
    assert rates[::7] == pytest.approx(_torch_rates(expected, steps=6))
    assert [len(set(rates[7 * epoch : 7 * epoch + 7])) for epoch in range(6)] == [1] * 6


_losses = st.lists(st.floats(0, 3).map(lambda x: round(x, 1)), max_size=40)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(losses=_losses, patience=st.integers(1, 4), minimum=st.sampled_from([0.0, 0.05]))
def test_plateau_drops_like_torch(losses: list[float], patience: int, minimum: float) -> None:
    # torch waits for one evaluation more than its patience.
    optimiser = _optimiser()
    expected = lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=patience - 1, threshold=0, min_lr=minimum, eps=0
    )
    schedule = {"name": "plateau", "factor": 0.5, "patience": patience, "minimum": minimum}
    rates = RateSchedule(recipe(schedule=schedule, optimiser={"name": "sgd", "lr": 0.3}), IMAGES)
    for loss in losses:
        expected.step(loss)
        rates.observe(loss)
        assert rates.rate(0) == pytest.approx(optimiser.param_groups[0]["lr"])


def test_a_loss_that_is_not_a_number_is_no_progress() -> None:
    schedule = {"name": "plateau", "factor": 0.5, "patience": 2}
    rates = RateSchedule(recipe(schedule=schedule), IMAGES)
    for loss in (1.0, math.nan, math.inf):
        rates.observe(loss)
    assert rates.rate(0) == 0.025


def test_a_rate_below_the_minimum_is_not_raised() -> None:
    schedule = {"name": "plateau", "factor": 0.5, "patience": 1, "minimum": 1.0}
    rates = RateSchedule(recipe(schedule=schedule), IMAGES)
    for loss in (1.0, 1.0):
        rates.observe(loss)
    assert rates.rate(0) == 0.05


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 7, 14, 21]),
        ({"evaluation": {"every": 2}}, [0, 14, 21]),  # and always at the end
        ({"evaluation": {"every": 5, "unit": "batch"}}, [0, 5, 10, 15, 20, 21]),
        ({"evaluation": {"every": 7, "unit": "batch"}}, [0, 7, 14, 21]),
        ({"evaluation": {"every": 99}}, [0, 21]),
        ({"drop_last": True}, [0, 6, 12, 18]),
    ],
)
def test_evaluations_follow_the_cadence(changes: dict[str, Any], expected: list[int]) -> None:
    assert evaluation_steps(recipe(**changes), IMAGES) == expected


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    images=st.integers(1, 300),
    batch=st.integers(1, 40),
    epochs=st.integers(1, 5),
    drop_last=st.booleans(),
)
def test_steps_are_those_of_a_loop(images: int, batch: int, epochs: int, drop_last: bool) -> None:
    chosen: Recipe = recipe(batch_size=batch, epochs=epochs, drop_last=drop_last)
    lengths = [min(batch, images - start) for start in range(0, images, batch)]
    per_epoch = sum(1 for length in lengths if length == batch or not drop_last)
    assert steps_per_epoch(chosen, images) == per_epoch
    assert total_steps(chosen, images) == epochs * per_epoch
