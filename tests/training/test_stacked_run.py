"""A stack of members ends as the plain loop ends for each of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from initbench.data.resident import ResidentData
from initbench.store.record import TrialStatus
from initbench.training.outcome import Member, Progress, Trained
from initbench.training.recipe import Recipe
from initbench.training.stacked_run import train_stack
from initbench.training.trainer import final_numbers, train
from tests.training.families import FAMILIES, InDouble, family
from tests.training.networks import data, equal, network, recipe

_ALL_AT_ONCE: dict[str, Any] = {
    "augmentation": {"crop_padding": 2, "flip": True},
    "label_smoothing": 0.1,
    "clip_norm": 2.0,
}


def assert_same(stacked: Trained, alone: Trained, tolerance: float = 1e-6) -> None:
    """Compare all fields: what was drawn exactly, what was computed to rounding."""
    assert stacked.seed == alone.seed
    assert stacked.status is alone.status
    assert stacked.failure == alone.failure
    assert stacked.batch_order == alone.batch_order
    assert stacked.best_index == alone.best_index
    assert stacked.curves.keys() == alone.curves.keys()
    for name, curve in alone.curves.items():
        found = stacked.curves[name]
        assert (found.steps, found.epochs) == (curve.steps, curve.epochs)
        values, expected = (
            [math.nan if x is None else x for x in one.values] for one in (found, curve)
        )
        assert values == pytest.approx(expected, rel=tolerance, nan_ok=True), name
    assert stacked.numbers == pytest.approx(alone.numbers, rel=tolerance, nan_ok=True)
    for state, expected_state in ((stacked.best, alone.best), (stacked.last, alone.last)):
        assert state.keys() == expected_state.keys()
        torch.testing.assert_close(
            state, expected_state, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    assert (stacked.cost.steps, stacked.cost.images_seen) == (
        alone.cost.steps,
        alone.cost.images_seen,
    )


# --- against the plain loop ---------------------------------------------------------------------


def _both_in_double(
    build: Callable[[int], nn.Module],
    seeds: Sequence[int],
    chosen: Recipe,
    resident: ResidentData | None = None,
) -> list[tuple[Trained, Trained]]:
    """Return what a stack and what the plain loop makes of each member, in float64."""
    resident = resident or data()
    with InDouble():
        stacked, alone = (
            how([Member(build(seed).double(), seed) for seed in seeds], resident, chosen)
            for how in (train_stack, train)
        )
    return list(zip(stacked, alone, strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_ends_as_in_the_plain_loop(name: str) -> None:
    _ends_as_in_the_plain_loop(*family(name))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [*FAMILIES, "timm/convnext_atto"])
def test_every_family_ends_as_in_the_plain_loop_on_a_gpu(name: str) -> None:
    _ends_as_in_the_plain_loop(*family(name, "cuda"), tolerance=1e-4)


def _ends_as_in_the_plain_loop(
    build: Callable[[int], nn.Module], resident: ResidentData, tolerance: float = 1e-6
) -> None:
    # With a higher rate the deepest network multiplies rounding, even of float64, without bounds.
    optimiser = {"name": "sgd", "lr": 3e-4, "momentum": 0.9, "weight_decay": 1e-3}
    chosen = recipe(optimiser=optimiser, **_ALL_AT_ONCE)  # 21 steps, the last of 7 smaller
    for stacked, alone in _both_in_double(build, range(2), chosen, resident):
        assert stacked.cost.steps == 21
        assert_same(stacked, alone, tolerance)


_SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant"},
    {"name": "step", "milestones": [1, 2], "factors": [0.5, 0.1]},
    {"name": "cosine", "warmup_batches": 3},
    {"name": "plateau", "factor": 0.5, "patience": 1},
]
_OPTIMISERS: list[dict[str, Any]] = [
    {"name": "sgd", "lr": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    {"name": "adam", "lr": 0.02, "weight_decay": 1e-3},
    {"name": "adamw", "lr": 0.02},
]


def _normed(seed: int) -> nn.Module:
    """A CNN with batch norm; a bias before it would only collect rounding."""
    net = network(seed, nn.BatchNorm2d(4))
    net[0].bias = None
    return net


@pytest.mark.parametrize("schedule", _SCHEDULES, ids=lambda x: x["name"])
@pytest.mark.parametrize("optimiser", _OPTIMISERS, ids=lambda x: x["name"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_every_schedule_and_optimiser(
    schedule: dict[str, Any], optimiser: dict[str, Any], drop_last: bool
) -> None:
    chosen = recipe(
        schedule=schedule,
        optimiser=optimiser,
        drop_last=drop_last,
        evaluation={"every": 3, "unit": "batch"},
        **_ALL_AT_ONCE,
    )
    both = _both_in_double(_normed, range(4), chosen)
    for stacked, alone in both:
        assert_same(stacked, alone)
    if schedule["name"] == "plateau":
        rates = {tuple(stacked.curves["learning_rate"].values[1:]) for stacked, _ in both}
        assert len(rates) > 1, "members are to have rates of their own"


def test_float32_ends_as_in_the_plain_loop_to_rounding() -> None:
    chosen = recipe(optimiser={"name": "adam", "lr": 0.01}, **_ALL_AT_ONCE)
    stacked = train_stack([Member(_normed(s), s) for s in range(3)], data(), chosen)
    alone = train([Member(_normed(s), s) for s in range(3)], data(), chosen)
    for one, other in zip(stacked, alone, strict=True):
        assert_same(one, other, tolerance=1e-4)


def test_bfloat16_ends_as_in_the_plain_loop_to_its_rounding() -> None:
    class Types(nn.Module):
        seen: set[tuple[bool, torch.dtype]] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.add((self.training, x.dtype))
            return x

    chosen = recipe(precision="bfloat16")
    stacked = train_stack([Member(network(s, Types()), s) for s in range(3)], data(), chosen)
    assert Types.seen == {(True, torch.bfloat16), (False, torch.float32)}
    alone = train([Member(network(s), s) for s in range(3)], data(), chosen)
    in_full = train([Member(network(s), s) for s in range(3)], data(), recipe())
    for one, other, full in zip(stacked, alone, in_full, strict=True):
        assert one.batch_order == other.batch_order
        found, expected = one.last["0.weight"], other.last["0.weight"]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
        assert not torch.allclose(found, full.last["0.weight"], rtol=0, atol=1e-5)


# --- members and their neighbours ---------------------------------------------------------------


def test_the_outcome_does_not_depend_on_neighbours_or_order() -> None:
    chosen = recipe(schedule=_SCHEDULES[3], optimiser=_OPTIMISERS[0], **_ALL_AT_ONCE)
    with InDouble():
        (alone,) = train([Member(_normed(2).double(), 2)], data(), chosen)
        for seeds in ([2], [1, 2], [0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
            members = [Member(_normed(seed).double(), seed) for seed in seeds]
            stacked = train_stack(members, data(), chosen)
            assert [one.seed for one in stacked] == seeds
            assert_same(stacked[seeds.index(2)], alone)


class _PoisonFrom(nn.Module):
    """Turns the output into NaN once `limit` training batches were seen."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.register_buffer("limit", torch.tensor(float(limit)))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
            x = torch.where(self.calls == self.limit, math.nan, x)
        return x


def _poisoned(limits: list[float]) -> list[Member]:
    return [Member(network(i, _PoisonFrom(limit)), i) for i, limit in enumerate(limits)]


@pytest.mark.parametrize(
    "limits",
    [
        [math.inf, 10, math.inf, 3],
        [7, 7, 10, math.inf],  # in the last batch of an epoch
        [2, 9, 16, 2],  # nobody is left
    ],
)
def test_members_that_diverge_leave_and_the_others_go_on(limits: list[float]) -> None:
    chosen = recipe(**_ALL_AT_ONCE)
    seen: list[tuple[int, int]] = []

    def note(position: int, now: Progress) -> None:
        assert now.seed == position
        seen.append((position, now.step))

    stacked = train_stack(_poisoned(limits), data(), chosen, on_progress=note)
    alone = train(_poisoned(limits), data(), chosen)
    for one, other, limit in zip(stacked, alone, limits, strict=True):
        assert one.status is (TrialStatus.DONE if limit == math.inf else TrialStatus.DIVERGED)
        assert_same(one, other, tolerance=1e-5)
        assert one.cost.stack_size == 4
        assert one.cost.wall_seconds == stacked[0].cost.wall_seconds
    expected = [
        (i, step) for i, one in enumerate(stacked) for step in one.curves["train_loss"].steps
    ]
    assert sorted(seen) == sorted(expected)


def test_weights_that_are_not_finite_are_found_before_training() -> None:
    bad = network(1)
    with torch.no_grad():
        bad[0].weight[0] = -math.inf
    first, second = train_stack([Member(network(0), 0), Member(bad, 1)], data(), recipe())
    (alone,) = train([Member(copy.deepcopy(bad), 1)], data(), recipe())
    assert second.failure is not None
    assert second.failure.kind == "infinity"
    assert second.failure == alone.failure
    assert second.batch_order == alone.batch_order
    assert second.numbers.keys() == alone.numbers.keys()
    assert (second.cost.steps, second.cost.images_seen) == (0, 0)
    assert first.status is TrialStatus.DONE


def test_divergence_between_evaluations_is_noticed_within_100_steps() -> None:
    chosen = recipe(epochs=60, evaluation={"every": 60})
    first, second = train_stack(_poisoned([150, math.inf]), data(), chosen)
    assert (first.cost.steps, second.cost.steps) == (200, 420)
    (alone,) = train(_poisoned([150]), data(), chosen)
    assert first.failure == alone.failure
    assert first.batch_order == alone.batch_order


# --- what is left behind ------------------------------------------------------------------------


def test_networks_and_curves_are_left_as_by_the_plain_loop() -> None:
    together = [Member(_normed(s), s) for s in range(2)]
    progress: list[tuple[int, Progress]] = []
    stacked = train_stack(
        together, data(), recipe(), on_progress=lambda i, now: progress.append((i, now))
    )
    expected: list[tuple[int, Progress]] = []
    alone = [Member(_normed(s), s) for s in range(2)]
    train(alone, data(), recipe(), on_progress=lambda i, now: expected.append((i, now)))
    told = sorted(progress, key=lambda p: (p[0], p[1].step))
    for (i, ours), (j, plain_loop) in zip(told, expected, strict=True):
        assert i == j
        assert ours.validation.loss == pytest.approx(plain_loop.validation.loss, rel=1e-5)
        rounded = replace(plain_loop.validation, loss=ours.validation.loss)
        assert ours == replace(plain_loop, validation=rounded)
    for member, plain, trained in zip(together, alone, stacked, strict=True):
        assert equal(member.network.state_dict(), trained.last)
        assert [m.training for m in member.network.modules()] == [
            m.training for m in plain.network.modules()
        ]
        numbers = final_numbers(member.network, trained, data())
        assert numbers["validation_accuracy.last"] == trained.numbers["validation_accuracy.last"]
        assert 0 <= numbers["test_accuracy.best"] <= 1


def test_the_layout_in_memory_stays() -> None:
    net = network().to(memory_format=torch.channels_last)
    (trained,) = train_stack([Member(net, 0)], data(), recipe())
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert trained.last["0.weight"].is_contiguous()


def test_networks_are_untouched_when_training_fails() -> None:
    together = [Member(_normed(s), s) for s in range(2)]
    before = [copy.deepcopy(member.network.state_dict()) for member in together]

    def stop(position: int, now: Progress) -> None:
        if now.step > 7:
            raise MemoryError("out of memory")

    for member in together:
        member.network.eval()
    with pytest.raises(MemoryError):
        train_stack(together, data(), recipe(), on_progress=stop)
    for member, state in zip(together, before, strict=True):
        assert equal(member.network.state_dict(), state)
        assert not any(module.training for module in member.network.modules())
    again = train_stack(together, data(), recipe())
    fresh = train_stack([Member(_normed(s), s) for s in range(2)], data(), recipe())
    assert all(equal(a.last, b.last) for a, b in zip(again, fresh, strict=True))


def test_same_seeds_same_bits_and_no_trace_in_global_state() -> None:
    chosen = recipe(**_ALL_AT_ONCE)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train_stack([Member(_normed(s), s) for s in range(3)], data(), chosen)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_deterministic_debug_mode() == 0
    second = train_stack([Member(_normed(s), s) for s in range(3)], data(), chosen)
    for one, other in zip(first, second, strict=True):
        assert equal(one.last, other.last)
        assert one.curves == other.curves


def test_frozen_parameters_stay() -> None:
    def frozen(seed: int) -> nn.Module:
        net = network(seed)
        net[0].weight.requires_grad_(False)
        return net

    for seed, (stacked, alone) in enumerate(_both_in_double(frozen, range(2), recipe())):
        assert_same(stacked, alone)
        assert torch.equal(stacked.last["0.weight"], frozen(seed)[0].weight.double())


def test_the_costs_are_those_of_the_whole_stack() -> None:
    first, second = train_stack([Member(network(s), s) for s in range(2)], data(), recipe())
    assert first.cost == second.cost
    assert first.cost.stack_size == 2
    assert (first.cost.steps, first.cost.images_seen) == (21, 150)
    assert 0 < first.cost.wall_seconds < 60


# --- CUDA ---------------------------------------------------------------------------------------


def _on_cuda(chosen: Recipe) -> list[Trained]:
    return train_stack([Member(_normed(s), s) for s in range(4)], data(device="cuda"), chosen)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimiser", _OPTIMISERS, ids=lambda x: x["name"])
def test_recorded_steps_are_plain_steps_are_the_plain_loop(
    optimiser: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(epochs=9, optimiser=optimiser, schedule={"name": "cosine"}, **_ALL_AT_ONCE)
    recorded = _on_cuda(chosen)
    assert not any(one.attempt_notes for one in recorded), "the step could not be recorded"
    monkeypatch.setattr("initbench.training.cuda_graph.WARM_UP", math.inf)
    unrecorded = _on_cuda(chosen)
    alone = train([Member(_normed(s), s) for s in range(4)], data(), chosen)
    for one, other, plain in zip(recorded, unrecorded, alone, strict=True):
        assert_same(one, other, tolerance=1e-3)
        assert one.batch_order == plain.batch_order
        torch.testing.assert_close(one.last, plain.last, rtol=0, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_members_leave_a_recorded_stack() -> None:
    chosen = recipe(epochs=9)
    limits = [math.inf, 30, math.inf, 3]
    stacked = train_stack(_poisoned(limits), data(device="cuda"), chosen)
    alone = train(_poisoned(limits), data(), chosen)
    for one, other in zip(stacked, alone, strict=True):
        assert one.failure == other.failure
        assert one.batch_order == other.batch_order
        torch.testing.assert_close(one.last, other.last, rtol=0, atol=1e-3, equal_nan=True)


def test_test_images_are_looked_at_after_the_epochs_asked_for() -> None:
    asked = recipe(evaluation={"test_epochs": [1, 2]})
    members = [Member(network(seed), seed) for seed in range(2)]
    alone = train([Member(network(seed), seed) for seed in range(2)], data(), asked)
    for stacked, single in zip(train_stack(members, data(), asked), alone, strict=True):
        assert "test_accuracy.epoch_1" in stacked.numbers
        assert_same(stacked, single, tolerance=1e-5)


def test_weights_are_kept_after_the_epochs_asked_for() -> None:
    asked = recipe(epochs=3, evaluation={"every": 3, "kept_epochs": [0, 1, 3]})
    members = [Member(network(seed), seed) for seed in range(3)]
    alone = train([Member(network(seed), seed) for seed in range(3)], data(), asked)
    for stacked, single in zip(train_stack(members, data(), asked), alone, strict=True):
        assert_same(stacked, single, tolerance=1e-5)
        assert list(stacked.kept) == [0, 1, 3]
        for epoch, state in single.kept.items():
            torch.testing.assert_close(stacked.kept[epoch], state, rtol=0, atol=1e-5)
