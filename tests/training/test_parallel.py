"""Two processes train as one would: same order, same statistics, same decisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from initbench.errors import UserError
from initbench.store.checkpoint import CheckpointFile
from initbench.store.record import TrialStatus
from initbench.training import evaluation
from initbench.training.checkpoint import Keeper
from initbench.training.outcome import Member, Progress, Trained
from initbench.training.parallel import check_batches, train_together
from initbench.training.recipe import Recipe
from initbench.training.trainer import train
from tests.store.worlds import KEY
from tests.training.networks import data, equal, network, recipe
from tests.training.together import on_two_ranks


def _with_batch_norm() -> nn.Module:
    return network(0, nn.BatchNorm2d(4))


def _with_dropout() -> nn.Module:
    return network(0, nn.Dropout(0.3))


class _PoisonOn(nn.Module):
    """Turns the activations of one rank into NaN at one training step."""

    def __init__(self, rank: int, step: int) -> None:
        super().__init__()
        self.rank, self.step, self.calls = rank, step, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        here = not dist.is_initialized() or dist.get_rank() == self.rank
        return x * math.nan if self.training and self.calls == self.step and here else x


def _poisoned() -> nn.Module:
    return network(0, _PoisonOn(rank=1, step=10))


@dataclass(frozen=True)
class Case:
    recipe: Recipe
    network: Callable[[], nn.Module] = network
    evaluation_pixels: int = evaluation.EVALUATION_PIXELS
    tolerance: float = 1e-5


_EVERYTHING: dict[str, Any] = {
    "optimiser": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3},
    "schedule": {"name": "step", "milestones": [1], "factors": [0.5]},
    "augmentation": {"crop_padding": 1, "flip": True},
    "label_smoothing": 0.1,
    "clip_norm": 0.3,
}

# Batches of 9 of 50 images: 5 and 4 for the two ranks, at the end of an epoch 3 and 2.
CASES = {
    "plain": Case(recipe(batch_size=8)),
    "everything": Case(recipe(batch_size=9, **_EVERYTHING)),
    "batch norm": Case(recipe(batch_size=9, **_EVERYTHING), _with_batch_norm),
    "adam": Case(recipe(batch_size=9, optimiser={"name": "adam", "lr": 0.01}), tolerance=1e-4),
    "no rest": Case(recipe(batch_size=9, drop_last=True), _with_batch_norm),
    # 21 images in batches of 8 or fewer: two for the first rank and one for the second.
    "shared evaluation": Case(recipe(batch_size=9), _with_batch_norm, evaluation_pixels=8 * 36),
    "plateau": Case(
        recipe(
            batch_size=9,
            label_smoothing=0.9,
            schedule={"name": "plateau", "factor": 0.5, "patience": 2},
            evaluation={"every": 3, "unit": "batch"},
        )
    ),
    "bfloat16": Case(recipe(batch_size=9, precision="bfloat16"), _with_batch_norm, tolerance=0.02),
    "diverging": Case(recipe(batch_size=9), _poisoned),
    "drawing": Case(recipe(batch_size=9), _with_dropout),
}


class Stopped(BaseException):
    """Somebody pressed Ctrl-C."""


class _StoppingAt(Keeper):
    """Keeps the one checkpoint after a step; where it is kept, training stops soon after."""

    def __init__(self, file: CheckpointFile, step: int) -> None:
        super().__init__(file, 0)
        self.step, self.steps = step, -1

    def is_due(self) -> bool:
        self.steps += 1
        return self.steps == self.step


@dataclass(frozen=True)
class OnOneRank:
    """What one of the two ranks has to say about each case."""

    trained: dict[str, Trained]
    progress: list[Progress] = field(default_factory=list)


def _all_cases(folder: Path) -> OnOneRank:
    """Train all cases on this rank, and one of them again in two attempts."""
    outcome = OnOneRank({})
    for name, case in CASES.items():
        outcome.trained[name] = _together(case, None, outcome.progress)
    for name in ("batch norm", "drawing"):
        file = CheckpointFile(folder / f"{name}.checkpoint", KEY)
        _together(CASES[name], _StoppingAt(file, 8), [])
        dist.barrier()  # in earnest, processes lie between two attempts
        outcome.trained[f"{name}, continued"] = _together(CASES[name], Keeper(file), [])
    return outcome


def _together(case: Case, keeper: Keeper | None, progress: list[Progress]) -> Trained:
    evaluation.EVALUATION_PIXELS = case.evaluation_pixels
    # Only the first rank's weights count.
    net = case.network() if dist.get_rank() == 0 else _other_weights(case.network())
    member = Member(net, 3, keeper)
    return train_together(member, data(), case.recipe, on_progress=progress.append)


def _other_weights(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.add_(1)
    return net


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[OnOneRank]:
    return on_two_ranks(_all_cases, tmp_path_factory.mktemp("ranks"))


@pytest.fixture
def alone(name: str, monkeypatch: pytest.MonkeyPatch) -> Trained:
    case = CASES[name]
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", case.evaluation_pixels)
    (trained,) = train([Member(case.network(), 3)], data(), case.recipe)
    return trained


def _assert_close(one: Trained, other: Trained, tolerance: float) -> None:
    assert (one.status, one.failure, one.batch_order) == (
        other.status,
        other.failure,
        other.batch_order,
    )
    assert one.best_index == other.best_index
    assert (one.cost.steps, one.cost.images_seen) == (other.cost.steps, other.cost.images_seen)
    assert one.numbers == pytest.approx(other.numbers, abs=tolerance)
    for name, curve in one.curves.items():
        expected = other.curves[name]
        assert (curve.steps, curve.epochs) == (expected.steps, expected.epochs)
        assert curve.values[0] == pytest.approx(expected.values[0], abs=tolerance)
        assert curve.values[1:] == pytest.approx(expected.values[1:], abs=tolerance)
    for states, expected_states in ((one.best, other.best), (one.last, other.last)):
        assert states.keys() == expected_states.keys()
        for name, tensor in states.items():
            torch.testing.assert_close(
                tensor, expected_states[name], rtol=tolerance, atol=tolerance, equal_nan=True
            )


@pytest.mark.parametrize("name", [name for name in CASES if name != "drawing"])
def test_two_ranks_train_as_one_process_does(
    name: str, ranks: list[OnOneRank], alone: Trained
) -> None:
    _assert_close(ranks[0].trained[name], alone, CASES[name].tolerance)


@pytest.mark.parametrize("name", [name for name in CASES if name != "diverging"])
def test_both_ranks_end_with_the_same_bits(name: str, ranks: list[OnOneRank]) -> None:
    first, second = (rank.trained[name] for rank in ranks)
    assert equal(first.last, second.last)
    assert equal(first.best, second.best)
    assert first.curves == second.curves
    assert first.numbers == second.numbers


def test_a_nan_on_one_rank_stops_both_at_the_same_step(ranks: list[OnOneRank]) -> None:
    for rank in ranks:
        trained = rank.trained["diverging"]
        assert trained.status is TrialStatus.DIVERGED
        assert trained.failure is not None
        assert "training loss was not finite after 12 steps" in trained.failure.message


def test_only_the_first_rank_reports_progress(ranks: list[OnOneRank]) -> None:
    assert ranks[1].progress == []
    points = [len(t.curves["validation_loss"].steps) for n, t in ranks[0].trained.items()]
    assert len(ranks[0].progress) == sum(points[: len(CASES)])


def test_the_cost_is_that_of_both(ranks: list[OnOneRank]) -> None:
    first, second = (rank.trained["plain"].cost for rank in ranks)
    assert first.devices == 2
    assert first.images_seen == 150
    assert first.device_seconds == second.device_seconds > 0
    assert first.peak_memory_bytes == second.peak_memory_bytes > 50e6


def test_random_draws_differ_by_rank_and_are_said_to_depend_on_their_number(
    ranks: list[OnOneRank],
) -> None:
    plain, drawing = (ranks[0].trained[name].attempt_notes for name in ("plain", "drawing"))
    assert plain == ["trained on 2 devices"]
    assert drawing == ["trained on 2 devices, on whose number its random draws (dropout) depend"]


@pytest.mark.parametrize("name", ["batch norm", "drawing"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    name: str, ranks: list[OnOneRank]
) -> None:
    for rank in ranks:
        whole, continued = rank.trained[name], rank.trained[f"{name}, continued"]
        assert continued.attempt_notes[0] == "continued from step 8"
        assert equal(whole.last, continued.last)
        assert equal(whole.best, continued.best)
        assert whole.curves == continued.curves
        assert whole.batch_order == continued.batch_order


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "ranks", "smallest"),
    [(8, False, 3, 2), (7, False, 2, 1), (8, True, 9, 8), (50, False, 64, 50)],
)
def test_more_ranks_than_images_in_a_batch_are_refused(
    batch_size: int, drop_last: bool, ranks: int, smallest: int
) -> None:
    chosen = recipe(batch_size=batch_size, drop_last=drop_last)
    with pytest.raises(
        UserError, match=f"a batch of {smallest} images cannot be shared by {ranks}"
    ):
        check_batches(chosen, 50, ranks)
    check_batches(chosen, 50, smallest)
