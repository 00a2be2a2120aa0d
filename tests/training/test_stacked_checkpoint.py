"""A stack that was stopped goes on to the same bits; what it cannot go on from does no harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from initbench.data.resident import ResidentData
from initbench.store.checkpoint import CheckpointFile
from initbench.store.record import TrialStatus
from initbench.training import checkpoint as checkpoint_module
from initbench.training.checkpoint import Conditions, Keeper, Snapshot
from initbench.training.outcome import Member, Trained
from initbench.training.recipe import Recipe
from initbench.training.stacked_checkpoint import StackKeeper, StackSnapshot
from initbench.training.stacked_run import train_stack
from initbench.training.trainer import train
from tests.store.worlds import KEY, damage
from tests.training.networks import data, equal, network, recipe
from tests.training.test_checkpoint import Clock, Stopped


class Stopping(StackKeeper):
    """Keeps the one checkpoint after step `last`, and then stops the training."""

    def __init__(self, file: CheckpointFile, keys: Sequence[str], last: int) -> None:
        super().__init__(file, keys, 0)
        self.last = last

    def keep(self, snapshot: StackSnapshot, now: Conditions) -> None:
        if snapshot.step == self.last:
            super().keep(snapshot, now)
            raise Stopped


class PoisonFrom(nn.Module):
    """Turns the output into NaN once `limit` training batches were seen."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.register_buffer("limit", torch.tensor(float(limit)))
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
            x = torch.where(self.calls == self.limit, math.nan, x)
        return x


LIMITS = {0: math.inf, 1: 4.0, 2: math.inf, 3: 12.0}
"""Seeds, and the steps in which these members diverge."""


def _members(seeds: Sequence[int], frozen: bool = False) -> list[Member]:
    members = []
    for seed in seeds:
        net = network(seed, nn.BatchNorm2d(4), PoisonFrom(LIMITS[seed]))
        net[0].bias.requires_grad_(not frozen)
        members.append(Member(net, seed))
    return members


def _keys(seeds: Sequence[int]) -> list[str]:
    return [f"trial {seed}" for seed in seeds]


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "a.checkpoint", KEY)


def _train(
    chosen: Recipe,
    seeds: Sequence[int] = (0, 1, 2, 3),
    keeper: StackKeeper | None = None,
    resident: ResidentData | None = None,
    frozen: bool = False,
) -> list[Trained]:
    return train_stack(_members(seeds, frozen), resident or data(), chosen, keeper=keeper)


def _stop(chosen: Recipe, file: CheckpointFile, step: int, frozen: bool = False) -> None:
    seeds = (0, 1, 2, 3)
    with pytest.raises(Stopped):
        _train(chosen, seeds, Stopping(file, _keys(seeds), step), frozen=frozen)


def _same(one: Trained, other: Trained) -> bool:
    """Say whether two outcomes are the same, but for what it took to get there."""
    assert (one.seed, one.status, one.failure) == (other.seed, other.status, other.failure)
    assert one.numbers == other.numbers
    assert one.curves == other.curves
    assert one.batch_order == other.batch_order
    assert one.best_index == other.best_index
    assert (one.cost.steps, one.cost.images_seen) == (other.cost.steps, other.cost.images_seen)
    assert one.cost.stack_size == other.cost.stack_size
    assert list(one.kept) == list(other.kept)
    kept = zip(one.kept.values(), other.kept.values(), strict=True)
    pairs = ((one.best, other.best), (one.last, other.last), *kept)
    return all(equal(*({n: x.nan_to_num(7) for n, x in s.items()} for s in p)) for p in pairs)


CASES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum, drop_last": {
        "optimiser": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
        "schedule": {"name": "cosine", "warmup_batches": 4},
        "drop_last": True,
    },
    "adam, plateau, augmented": {
        "optimiser": {"name": "adam", "lr": 0.02},
        "schedule": {"name": "plateau", "factor": 0.5, "patience": 1},
        "augmentation": {"crop_padding": 1, "flip": True},
        "evaluation": {"every": 4, "unit": "batch", "kept_epochs": [0, 1, 3]},
        "clip_norm": 0.5,
    },
    "adamw, frozen": {
        "optimiser": {"name": "adamw", "lr": 0.01},
        "precision": "bfloat16",
        "evaluation": {"kept_epochs": [1, 2]},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_after_any_step_it_goes_on_to_the_same_bits(case: str, tmp_path: Path) -> None:
    chosen, frozen = recipe(**CASES[case]), "frozen" in case
    undisturbed = _train(chosen, frozen=frozen)
    done = [one.status is TrialStatus.DONE for one in undisturbed]
    assert done == [True, False, True, False]
    steps = undisturbed[0].cost.steps
    for step in (0, 1, 3, 6, 7, 8, 11, 13, steps - 1, steps):
        file = CheckpointFile(tmp_path / f"{step}.checkpoint", KEY)
        _stop(chosen, file, step, frozen)
        keeper = StackKeeper(file, _keys(range(4)))
        continued = _train(chosen, keeper=keeper, frozen=frozen)
        for one, other in zip(continued, undisturbed, strict=True):
            assert one.attempt_notes == [f"continued from step {step}"]
            assert _same(one, other), step


def test_stopped_again_and_again_it_goes_on_to_the_same_bits(file: CheckpointFile) -> None:
    chosen = recipe(**CASES["adam, plateau, augmented"])
    stops = (2, 9, 17)
    for stop in stops:
        _stop(chosen, file, stop)
    trained = _train(chosen, keeper=StackKeeper(file, _keys(range(4))))
    for one, other in zip(trained, _train(chosen), strict=True):
        assert one.attempt_notes == [f"continued from step {stop}" for stop in stops]
        assert _same(one, other)


def test_the_rest_of_a_stack_goes_on_and_says_so(file: CheckpointFile) -> None:
    chosen = recipe(optimiser={"name": "adam", "lr": 0.01})
    _stop(chosen, file, 10, frozen=True)  # a bias before batch norm would only collect rounding
    seeds = (3, 2, 1)  # in another order, one that diverged and one that will
    continued = _train(chosen, seeds, StackKeeper(file, _keys(seeds)), frozen=True)
    alone = train(_members(seeds, frozen=True), data(), chosen)
    for one, other in zip(continued, alone, strict=True):
        assert one.attempt_notes == ["continued from step 10 of a stack of 4"]
        assert (one.seed, one.status, one.failure) == (other.seed, other.status, other.failure)
        assert one.batch_order == other.batch_order
        assert one.cost.steps == other.cost.steps
        torch.testing.assert_close(one.last, other.last, rtol=1e-3, atol=1e-4, equal_nan=True)


def test_only_those_that_diverged_are_left(file: CheckpointFile) -> None:
    _stop(recipe(), file, 10)
    (one,) = _train(recipe(), [1], StackKeeper(file, _keys([1])))
    (alone,) = train(_members([1]), data(), recipe())
    assert (one.failure, one.batch_order) == (alone.failure, alone.batch_order)


# --- what it does not go on from ----------------------------------------------------------------


def _is_not_gone_on_from(
    file: CheckpointFile, because: str, seeds: Sequence[int] = (0, 1, 2, 3)
) -> None:
    continued = _train(recipe(), seeds, StackKeeper(file, _keys(seeds)))
    for one, other in zip(continued, _train(recipe(), seeds), strict=True):
        (note,) = one.attempt_notes
        assert note.startswith("did not continue from a checkpoint: ")
        assert because in note
        assert _same(one, other)


def test_a_damaged_one(file: CheckpointFile, tmp_path: Path) -> None:
    _stop(recipe(), file, 9)
    path = tmp_path / "a.checkpoint"
    for where in (20, 200, path.stat().st_size - 1):
        damage(path, where)
        _is_not_gone_on_from(file, "`<path>/a.checkpoint` is corrupt")
        damage(path, where)  # and whole again


def test_one_of_a_smaller_stack(file: CheckpointFile) -> None:
    with pytest.raises(Stopped):
        _train(recipe(), (0, 2), Stopping(file, _keys((0, 2)), 9))
    _is_not_gone_on_from(file, "it is one of another stack, without 2 of these trials")


@pytest.mark.parametrize("drop", ["rows.weights", "best.0.weight", "points.all"])
def test_one_of_another_network(file: CheckpointFile, drop: str) -> None:
    _stop(recipe(), file, 9)
    description, tensors = file.read() or ({}, {})
    short = {name: x if name != drop else x[..., :1].contiguous() for name, x in tensors.items()}
    less = {name: x for name, x in tensors.items() if name != drop}
    for others in (short, less):
        file.write(description, others)
        _is_not_gone_on_from(file, "it is one of another network")


def test_one_with_another_description(file: CheckpointFile) -> None:
    file.write({"step": 3}, {})
    _is_not_gone_on_from(file, "it is corrupt: Field required")


def test_stacks_and_the_plain_loop_do_not_go_on_for_each_other(file: CheckpointFile) -> None:
    class Alone(Keeper):
        def keep(self, snapshot: Snapshot, now: Conditions) -> None:
            super().keep(snapshot, now)
            raise Stopped

    (member,) = _members([0])
    with pytest.raises(Stopped):
        train([Member(member.network, 0, Alone(file, 0))], data(), recipe())
    _is_not_gone_on_from(file, "it was made with loop plain instead of stacked")
    _stop(recipe(), file, 9)
    keeper = Keeper(file)
    (trained,) = train([Member(_members([0])[0].network, 0, keeper)], data(), recipe())
    assert "it was made with loop stacked instead of plain" in trained.attempt_notes[0]
    assert trained.cost.steps == 21


# --- how often ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "writing", "kept"),
    [
        (0.0, 0.0, list(range(22))),
        (60.0, 0.0, [8, 17]),
        (20.0, 2.0, [2, 17]),  # two seconds of a hundred
        (math.inf, 0.0, []),
    ],
)
def test_there_is_one_each_so_many_seconds(
    file: CheckpointFile,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    writing: float,
    kept: list[int],
) -> None:
    clock = Clock()
    monkeypatch.setattr(checkpoint_module, "time", clock)
    write = CheckpointFile.write
    found: list[int] = []

    def slowly(self: CheckpointFile, description: Any, tensors: Any) -> None:
        clock.now += writing
        found.append(description["step"])
        write(self, description, tensors)

    class Slow(StackKeeper):
        def is_due(self) -> bool:
            clock.now += 7  # a step
            return super().is_due()

    monkeypatch.setattr(CheckpointFile, "write", slowly)
    _train(recipe(), keeper=Slow(file, _keys(range(4)), seconds))
    assert found == kept


def test_a_full_disk_is_noted_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    keeper = StackKeeper(
        CheckpointFile(tmp_path / "folder" / "a.checkpoint", KEY), _keys(range(4)), 0
    )
    trained = _train(recipe(), keeper=keeper)
    for one, other in zip(trained, _train(recipe()), strict=True):
        assert one.attempt_notes[-1].startswith("a checkpoint could not be written: ")
        assert len(one.attempt_notes) == 2  # it could not be read, either
        assert _same(one, other)


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_goes_on_to_rounding(case: str, tmp_path: Path) -> None:
    chosen, resident = recipe(**CASES[case]), data(device="cuda")
    undisturbed = _train(chosen, resident=resident)
    for step in (0, 9, 13):
        file = CheckpointFile(tmp_path / f"{step}.checkpoint", KEY)
        with pytest.raises(Stopped):
            _train(chosen, (0, 1, 2, 3), Stopping(file, _keys(range(4)), step), resident)
        continued = _train(chosen, keeper=StackKeeper(file, _keys(range(4))), resident=resident)
        for one, other in zip(continued, undisturbed, strict=True):
            assert one.attempt_notes == [f"continued from step {step}"]
            assert (one.failure, one.batch_order) == (other.failure, other.batch_order)
            losses = (x.curves["train_loss"].values[1:] for x in (one, other))
            assert next(losses) == pytest.approx(next(losses), rel=1e-2)
