"""A training that was stopped goes on to the same bits; what it cannot go on from does no harm."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from initbench.data.resident import ResidentData
from initbench.store.checkpoint import CheckpointFile
from initbench.store.record import TrialStatus
from initbench.training import checkpoint as checkpoint_module
from initbench.training.checkpoint import Conditions, Keeper, Snapshot, conditions
from initbench.training.outcome import Member, Trained
from initbench.training.recipe import Recipe
from initbench.training.trainer import train
from tests.store.worlds import KEY, damage, sealed
from tests.training.networks import data, equal, network, recipe

CPU = torch.device("cpu")
STEPS = 21  # of `recipe` on `data`: three epochs of six batches of 8 and one of 2


class Stopped(BaseException):
    """Somebody pressed Ctrl-C."""


class Stopping(Keeper):
    """Keeps the one checkpoint after step `last`, and then stops the training."""

    def __init__(self, file: CheckpointFile, last: int) -> None:
        super().__init__(file, 0)
        self.last = last

    def keep(self, snapshot: Snapshot, now: Conditions) -> None:
        if snapshot.step == self.last:
            super().keep(snapshot, now)
            raise Stopped


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "a.checkpoint", KEY)


def _train(
    chosen: Recipe,
    net: nn.Module,
    keeper: Keeper | None = None,
    resident: ResidentData | None = None,
    seed: int = 3,
) -> Trained:
    (trained,) = train([Member(net, seed, keeper)], resident or data(), chosen)
    return trained


def _stop_and_go_on(
    chosen: Recipe, build: Callable[[], nn.Module], folder: Path, step: int
) -> Trained:
    file = CheckpointFile(folder / f"{step}.checkpoint", KEY)
    with pytest.raises(Stopped):
        _train(chosen, build(), Stopping(file, step))
    return _train(chosen, build(), Keeper(file))


def _same(one: Trained, other: Trained) -> bool:
    """Say whether two outcomes are the same, but for what it took to get there."""
    assert (one.status, one.failure, one.numbers) == (other.status, other.failure, other.numbers)
    assert one.curves == other.curves
    assert one.batch_order == other.batch_order
    assert one.best_index == other.best_index
    assert (one.cost.steps, one.cost.images_seen) == (other.cost.steps, other.cost.images_seen)
    assert list(one.kept) == list(other.kept)
    assert all(equal(one.kept[epoch], other.kept[epoch]) for epoch in other.kept)
    return equal(one.best, other.best) and equal(one.last, other.last)


# --- to the same bits ---------------------------------------------------------------------------


class _Counting(nn.Module):
    """Weighs its images by how many it has seen, in a buffer that is not part of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += len(images)
        return images * (1 + self.seen / 1000)


def _plain() -> nn.Module:
    return network()


def _with_everything() -> nn.Module:
    return network(0, nn.BatchNorm2d(4), nn.Dropout(0.3))


def _partly_frozen() -> nn.Module:
    net = network(0, _Counting())
    net[0].weight.requires_grad_(False)
    return net


def _channels_last() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        further = nn.Conv2d(4, 4, 3, padding=1)
    return network(0, further).to(memory_format=torch.channels_last)


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "plain": (_plain, {}),
    "everything": (
        _with_everything,
        {
            "optimiser": {"name": "adam", "lr": 0.02},
            "schedule": {"name": "plateau", "factor": 0.5, "patience": 1},
            "augmentation": {"crop_padding": 1, "flip": True},
            "evaluation": {"every": 4, "unit": "batch", "kept_epochs": [0, 1, 3]},
            "clip_norm": 0.5,
            "label_smoothing": 0.1,
        },
    ),
    "momentum, drop_last": (
        _with_everything,
        {
            "optimiser": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
            "schedule": {"name": "cosine", "warmup_batches": 4},
            "drop_last": True,
            "precision": "bfloat16",
        },
    ),
    "frozen, own buffer": (_partly_frozen, {"optimiser": {"name": "adamw", "lr": 0.01}}),
    "channels last, momentum": (
        _channels_last,
        {"optimiser": {"name": "sgd", "lr": 0.05, "momentum": 0.9}},
    ),
    "channels last, adam": (_channels_last, {"optimiser": {"name": "adam", "lr": 0.01}}),
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_after_any_step_it_goes_on_to_the_same_bits(case: str, tmp_path: Path) -> None:
    build, changes = CASES[case]
    chosen = recipe(**changes)
    undisturbed = _train(chosen, build())
    rates = undisturbed.curves["learning_rate"].values
    assert case != "everything" or len(set(rates)) > 3, "the plateau is to be left on the way"
    for step in range(undisturbed.cost.steps + 1):
        continued = _stop_and_go_on(chosen, build, tmp_path, step)
        assert continued.attempt_notes == [f"continued from step {step}"]
        assert _same(continued, undisturbed), step


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, STEPS), unique=True).map(sorted))
def test_stopped_again_and_again_it_goes_on_to_the_same_bits(
    tmp_path: Path, stops: list[int]
) -> None:
    build, changes = CASES["everything"]
    chosen = recipe(**changes)
    path = tmp_path / "again.checkpoint"
    path.unlink(missing_ok=True)
    file = CheckpointFile(path, KEY)
    for stop in stops:
        with pytest.raises(Stopped):
            _train(chosen, build(), Stopping(file, stop))
    trained = _train(chosen, build(), Keeper(file))
    assert trained.attempt_notes == [f"continued from step {stop}" for stop in stops]
    assert _same(trained, _train(chosen, build()))


def test_it_goes_on_in_the_middle_of_an_epoch_without_touching_the_images_before(
    file: CheckpointFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    batches_at = ResidentData.batches_at

    def counting(self: ResidentData, split: Any, batches: Any, *rest: Any) -> Any:
        parts = list(batches)
        asked.append(sum(len(indices) for indices in parts))
        return batches_at(self, split, parts, *rest)

    with pytest.raises(Stopped):
        _train(recipe(), network(), Stopping(file, 9))
    monkeypatch.setattr(ResidentData, "batches_at", counting)
    _train(recipe(), network(), Keeper(file))
    assert asked == [50 - 2 * 8, 50]  # two of seven batches of the second epoch are done


def test_losses_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    class Hopeless(nn.Module):
        """Sure of the first class, unless it is trained."""

        def forward(self, logits: torch.Tensor) -> torch.Tensor:
            sure = torch.tensor([0.0, -math.inf, -math.inf]).expand_as(logits)
            return logits if self.training else sure

    def build() -> nn.Module:
        return nn.Sequential(network(), Hopeless())

    chosen = recipe(schedule={"name": "plateau", "factor": 0.5, "patience": 1})
    undisturbed = _train(chosen, build())
    assert undisturbed.numbers["test_loss.initial"] == math.inf
    assert undisturbed.curves["validation_loss"].values == [None] * 4
    assert _same(_stop_and_go_on(chosen, build, tmp_path, 8), undisturbed)


def test_one_that_diverges_does_so_at_the_same_step(tmp_path: Path) -> None:
    chosen = recipe(
        optimiser={"name": "sgd", "lr": 1e3, "weight_decay": 1.0},
        epochs=40,
        evaluation={"every": 1, "unit": "batch"},
    )
    undisturbed = _train(chosen, network())
    assert undisturbed.status is TrialStatus.DIVERGED
    step = undisturbed.cost.steps - 1
    assert _same(_stop_and_go_on(chosen, network, tmp_path, step), undisturbed)


def test_members_of_one_call_go_on_each_from_its_own_place(tmp_path: Path) -> None:
    files = [CheckpointFile(tmp_path / f"{seed}.checkpoint", KEY) for seed in (0, 1)]
    with pytest.raises(Stopped):
        _train(recipe(), network(1), Stopping(files[1], 5), seed=1)
    members = [Member(network(seed), seed, Keeper(files[seed])) for seed in (0, 1)]
    outcomes = train(members, data(), recipe())
    assert [trained.attempt_notes for trained in outcomes] == [[], ["continued from step 5"]]
    for seed, trained in enumerate(outcomes):
        assert _same(trained, _train(recipe(), network(seed), seed=seed))


def test_cost_covers_all_attempts(file: CheckpointFile, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped):
        _train(recipe(), network(), Stopping(file, 9))
    (description, tensors) = file.read() or ({}, {})
    cost = description["cost"]
    assert cost["steps"] == 9
    assert cost["images_seen"] == 50 + 2 * 8
    assert 0 < cost["wall_seconds"] < 10
    changed = {"wall_seconds": 1000.0, "device_seconds": 500.0, "peak_memory_bytes": 10**15}
    file.write({**description, "cost": cost | changed}, tensors)
    total = _train(recipe(), network(), Keeper(file)).cost
    assert 1000 < total.wall_seconds < 1010
    assert 500 < total.device_seconds < 510
    assert total.peak_memory_bytes == 10**15
    assert total.images_seen == 150


# --- what it does not go on from ----------------------------------------------------------------


def _is_not_gone_on_from(file: CheckpointFile, because: str) -> None:
    keeper = Keeper(file)
    trained = _train(recipe(), network(), keeper)
    (note,) = trained.attempt_notes
    assert note.startswith("did not continue from a checkpoint: ")
    assert because in note
    assert _same(trained, _train(recipe(), network()))


def test_a_damaged_one(file: CheckpointFile, tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    with pytest.raises(Stopped):
        _train(recipe(), network(), Stopping(file, 9))
    for where in (20, 200, path.stat().st_size - 1):
        damage(path, where)
        _is_not_gone_on_from(file, "`<path>/a.checkpoint` is corrupt")
        damage(path, where)  # and whole again
    assert _train(recipe(), network(), Keeper(file)).attempt_notes == ["continued from step 9"]


def test_one_of_an_older_format(file: CheckpointFile, tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    with pytest.raises(Stopped):
        _train(recipe(), network(), Stopping(file, 9))
    head, tensors = path.read_bytes().split(b"\n", 1)
    content = head.partition(b'"content":')[2].removesuffix(b"}")
    path.write_bytes(sealed(content.replace(b'"format":1', b'"format":0')) + tensors)
    _is_not_gone_on_from(file, "has format 0; initbench")


def test_one_of_another_trial(file: CheckpointFile, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        _train(recipe(), network(), Stopping(file, 9))
    other = CheckpointFile(tmp_path / "a.checkpoint", "cd" * 32)
    _is_not_gone_on_from(other, f"it holds `{KEY}`")


def test_one_of_another_network(file: CheckpointFile) -> None:
    with pytest.raises(Stopped):
        _train(recipe(), _with_everything(), Stopping(file, 9))
    _is_not_gone_on_from(file, "it is one of another network")


def test_one_with_another_description(file: CheckpointFile) -> None:
    file.write({"step": 3}, {})
    _is_not_gone_on_from(file, "it is corrupt: Field required")


def test_one_made_under_other_conditions(
    file: CheckpointFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = checkpoint_module.environment
    with monkeypatch.context() as before:
        before.setattr(checkpoint_module, "environment", lambda: {**real(), "torch": "1.0"})
        with pytest.raises(Stopped):
            _train(recipe(), network(), Stopping(file, 9))
    _is_not_gone_on_from(file, f"it was made with torch 1.0 instead of {torch.__version__}")


def test_one_that_cannot_be_read(file: CheckpointFile, tmp_path: Path) -> None:
    (tmp_path / "a.checkpoint").mkdir()
    _is_not_gone_on_from(file, "is no regular file")


def test_loops_and_devices_do_not_go_on_for_each_other() -> None:
    assert conditions(CPU, "plain") == conditions(CPU, "plain")
    assert conditions(CPU, "plain") != conditions(CPU, "stacked")
    assert conditions(CPU, "plain") != conditions(torch.device("cuda"), "plain")


# --- how often ----------------------------------------------------------------------------------


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpoint_module, "time", clock)
    return clock


class Recording(Keeper):
    """Notes after how many steps it kept a checkpoint; a step takes 7 seconds."""

    def __init__(self, file: CheckpointFile, clock: Clock, seconds: float) -> None:
        super().__init__(file, seconds)
        self.clock = clock
        self.kept: list[int] = []
        self.step = -1

    def is_due(self) -> bool:
        self.step += 1
        self.clock.now += 7
        return super().is_due()

    def keep(self, *arguments: Any) -> None:
        self.kept.append(self.step)
        super().keep(*arguments)


def test_there_is_one_each_so_many_seconds(tmp_path: Path, clock: Clock) -> None:
    for seconds, kept in (
        (0.0, list(range(22))),
        (20.0, [2, 5, 8, 11, 14, 17, 20]),
        (60.0, [8, 17]),
        (1000.0, []),
        (math.inf, []),
    ):
        file = CheckpointFile(tmp_path / f"{seconds}.checkpoint", KEY)
        keeper = Recording(file, clock, seconds)
        clock.now += 500  # initialising takes its time, which is not training
        _train(recipe(), network(), keeper)
        assert keeper.kept == kept
        assert (file.read() is not None) == bool(kept)


def test_a_trial_that_takes_less_leaves_none(file: CheckpointFile, tmp_path: Path) -> None:
    trained = _train(recipe(), network(), Keeper(file))
    assert list(tmp_path.iterdir()) == []
    assert trained.attempt_notes == []


def test_on_a_slow_disk_they_become_rarer(
    file: CheckpointFile, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = CheckpointFile.write

    def slowly(self: CheckpointFile, *arguments: Any) -> None:
        clock.now += 2
        write(self, *arguments)

    monkeypatch.setattr(CheckpointFile, "write", slowly)
    keeper = Recording(file, clock, 20.0)
    _train(recipe(), network(), keeper)
    assert keeper.kept == [2, 17]  # two seconds of a hundred


def test_a_full_disk_is_noted_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    keeper = Keeper(CheckpointFile(tmp_path / "folder" / "a.checkpoint", KEY), 0)
    trained = _train(recipe(), network(), keeper)
    assert trained.attempt_notes[-1].startswith("a checkpoint could not be written: ")
    assert len(trained.attempt_notes) == 2  # it could not be read, either
    assert _same(trained, _train(recipe(), network()))


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_gpu_goes_on_with_the_same_dropout_and_scale(
    file: CheckpointFile, precision: str
) -> None:
    _, changes = CASES["everything"]
    chosen = recipe(**{**changes, "schedule": {"name": "constant"}, "precision": precision})

    def outcome(keeper: Keeper | None) -> Trained:
        return _train(chosen, _with_everything(), keeper, data(device="cuda"))

    undisturbed = outcome(None)
    for step in (0, 9, 21):
        with pytest.raises(Stopped):
            outcome(Stopping(file, step))
        continued = outcome(Keeper(file))
        assert continued.attempt_notes == [f"continued from step {step}"]
        assert continued.batch_order == undisturbed.batch_order
        assert continued.cost.steps == undisturbed.cost.steps
        # Some kernels add in any order, so bits may differ there, but not what is dropped.
        losses = (x.curves["train_loss"].values[1:] for x in (continued, undisturbed))
        assert next(losses) == pytest.approx(next(losses), rel=1e-2)
