"""The trainer does what an obvious loop does, the same each time, for each member alone."""

from __future__ import annotations

import copy
import hashlib
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from initbench.data.resident import ResidentData
from initbench.errors import UserError
from initbench.store.record import Record, TrialStatus
from initbench.streams import Stream, generator
from initbench.training.outcome import Member, Progress, Trained, state_of
from initbench.training.recipe import Recipe
from initbench.training.schedule import total_steps
from initbench.training.trainer import final_numbers, train
from tests.training.networks import data, equal, network, recipe


def _train_one(
    chosen: Recipe,
    net: nn.Module | None = None,
    seed: int = 3,
    resident: ResidentData | None = None,
) -> Trained:
    (trained,) = train([Member(net or network(), seed)], resident or data(), chosen)
    return trained


# --- against an obvious loop --------------------------------------------------------------------


def _obvious_loop(net: nn.Module, resident: ResidentData, epochs: int, seed: int) -> list[float]:
    """SGD with momentum and weight decay, batches of 8, a rate halved after one epoch."""
    momentum = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    accuracies = [_accuracy(net, resident)]
    for epoch in range(epochs):
        rate = 0.05 if epoch < 1 else 0.025
        order = torch.randperm(50, generator=generator(seed, Stream.ORDER, epoch)).tolist()
        for start in range(0, 50, 8):
            batch = order[start : start + 8]
            images = resident.normalise(torch.stack([resident.train.images[i] for i in batch]))
            labels = torch.stack([resident.train.labels[i] for i in batch])
            net.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            with torch.no_grad():
                for name, p in net.named_parameters():
                    momentum[name] = 0.9 * momentum[name] + p.grad + 1e-3 * p
                    p.sub_(rate * momentum[name])
        accuracies.append(_accuracy(net, resident))
    return accuracies


def _accuracy(net: nn.Module, resident: ResidentData) -> float:
    with torch.no_grad():
        predicted = net(resident.normalise(resident.validation.images)).argmax(1)
    return (predicted == resident.validation.labels).double().mean().item()


def test_it_trains_as_an_obvious_loop_does() -> None:
    chosen = recipe(
        optimiser={"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3},
        schedule={"name": "step", "milestones": [1], "factors": [0.5]},
    )
    net, reference = network(), network()
    trained = _train_one(chosen, net)
    accuracies = _obvious_loop(reference, data(), epochs=3, seed=3)
    assert trained.curves["validation_accuracy"].values == accuracies
    assert accuracies[-1] > accuracies[0] + 0.2
    for name, expected in reference.state_dict().items():
        torch.testing.assert_close(trained.last[name], expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(trained.last[name], net.state_dict()[name])


@pytest.mark.parametrize(
    ("optimiser", "torch_class", "arguments"),
    [
        (
            {"name": "sgd", "lr": 0.05, "momentum": 0.8, "nesterov": True},
            torch.optim.SGD,
            {"lr": 0.05, "momentum": 0.8, "nesterov": True},
        ),
        (
            {"name": "adam", "lr": 0.01, "betas": [0.8, 0.9], "weight_decay": 0.1},
            torch.optim.Adam,
            {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1},
        ),
        (
            {"name": "adamw", "lr": 0.01, "eps": 1e-3},
            torch.optim.AdamW,
            {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.01},
        ),
    ],
)
def test_optimiser_clipping_and_smoothing_are_torchs(
    optimiser: dict[str, Any], torch_class: type[torch.optim.Optimizer], arguments: dict[str, Any]
) -> None:
    chosen = recipe(optimiser=optimiser, clip_norm=0.3, label_smoothing=0.2, epochs=2)
    trained = _train_one(chosen)
    net, resident = network(), data()
    stepper = torch_class(net.parameters(), **arguments, foreach=False)
    losses, norms = [], []
    for epoch in range(2):
        order = torch.randperm(50, generator=generator(3, Stream.ORDER, epoch))
        for batch in order.split(8):
            loss = F.cross_entropy(
                net(resident.normalise(resident.train.images[batch])),
                resident.train.labels[batch],
                label_smoothing=0.2,
            )
            stepper.zero_grad()
            loss.backward()
            norms.append(nn.utils.clip_grad_norm_(net.parameters(), 0.3).item())
            stepper.step()
            losses.append(loss.item())
    assert min(norms) < 0.3 < max(norms), "both cases of clipping are to be seen"
    for name, expected in net.state_dict().items():
        torch.testing.assert_close(trained.last[name], expected, rtol=1e-5, atol=1e-6)
    means = [sum(losses[:7]) / 7, sum(losses[7:]) / 7]
    assert trained.curves["train_loss"].values == [None, *map(pytest.approx, means)]


def test_frozen_parameters_stay() -> None:
    net = network()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    trained = _train_one(recipe(), net)
    assert torch.equal(trained.last["0.weight"], before)
    assert not torch.equal(trained.last["0.bias"], network().state_dict()["0.bias"])


# --- same seed, same bits -----------------------------------------------------------------------

_RANDOM = {
    "augmentation": {"crop_padding": 1, "flip": True},
    "optimiser": {"name": "adam", "lr": 0.01},
}


def _random_network(seed: int = 0) -> nn.Module:
    return network(seed, nn.BatchNorm2d(4), nn.Dropout(0.3))


def test_same_seed_same_bits_whatever_happened_before() -> None:
    torch.manual_seed(11)
    first = _train_one(recipe(**_RANDOM), _random_network())
    torch.manual_seed(12)
    torch.rand(5)
    second = _train_one(recipe(**_RANDOM), _random_network())
    assert equal(first.last, second.last)
    assert first.curves == second.curves
    other = _train_one(recipe(**_RANDOM), _random_network(), seed=4)
    assert not equal(first.last, other.last)


def test_members_are_trained_as_if_alone() -> None:
    chosen = recipe(**_RANDOM)
    together = train([Member(_random_network(s), s) for s in (0, 1)], data(), chosen)
    for seed, trained in enumerate(together):
        alone = _train_one(chosen, _random_network(seed), seed)
        assert equal(trained.last, alone.last)
        assert equal(trained.best, alone.best)
        assert trained.curves == alone.curves
        assert trained.numbers == alone.numbers


def test_the_order_of_batches_does_not_depend_on_the_network() -> None:
    a, b = _train_one(recipe(), network(0)), _train_one(recipe(), _random_network(5))
    assert a.batch_order == b.batch_order != _train_one(recipe(), seed=4).batch_order


def test_the_digest_covers_the_images_that_were_used() -> None:
    for drop_last, used in ((False, 50), (True, 48)):
        trained = _train_one(recipe(drop_last=drop_last))
        sha = hashlib.sha256()
        for epoch in range(3):
            order = torch.randperm(50, generator=generator(3, Stream.ORDER, epoch)).tolist()
            for index in order[:used]:
                sha.update(index.to_bytes(8, "little"))
        assert trained.batch_order == sha.hexdigest()
        assert trained.cost.images_seen == 3 * used
        assert trained.cost.steps == total_steps(recipe(drop_last=drop_last), 50)


def test_global_state_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _train_one(recipe(), _random_network())
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_deterministic_debug_mode() == 0


def test_algorithms_that_are_not_deterministic_are_refused() -> None:
    class Modes(nn.Module):
        seen: set[bool] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.add(torch.are_deterministic_algorithms_enabled())
            return x

    _train_one(recipe(), network(0, Modes()))
    assert Modes.seen == {True}


# --- checkpoints and final numbers --------------------------------------------------------------


def test_the_best_checkpoint_is_the_first_of_the_best() -> None:
    states, net = [], network()
    progress: list[Progress] = []

    def keep(position: int, now: Progress) -> None:
        assert position == 0
        progress.append(now)
        states.append(copy.deepcopy(net.state_dict()))

    chosen = recipe(evaluation={"every": 1, "unit": "batch"})
    (trained,) = train([Member(net, 3)], data(), chosen, on_progress=keep)
    accuracies = trained.curves["validation_accuracy"].values
    best = max(accuracies)
    assert accuracies.count(best) > 1, "this test needs a tie"
    assert trained.best_index == accuracies.index(best)
    assert equal(trained.best, states[trained.best_index])
    assert equal(trained.last, states[-1])
    assert [p.validation.accuracy for p in progress] == accuracies
    assert [(p.step, p.total_steps, p.epoch) for p in progress] == [
        (step, 21, step / 7) for step in range(22)
    ]


def test_the_network_before_training_may_be_the_best() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    chosen = recipe(optimiser={"name": "sgd", "lr": 1e-9})  # nothing improves
    trained = _train_one(chosen, net)
    assert trained.best_index == 0
    assert equal(trained.best, before)


def test_final_numbers_are_those_of_the_checkpoints() -> None:
    net, resident = network(), data()
    before = copy.deepcopy(net)
    trained = _train_one(recipe(), net)
    numbers = final_numbers(net, trained, resident)

    def test_scores(state: dict[str, torch.Tensor]) -> tuple[float, float]:
        judge = network()
        judge.load_state_dict(state)
        with torch.no_grad():
            logits = judge(resident.normalise(resident.test.images))
        hits = (logits.argmax(1) == resident.test.labels).double().mean().item()
        return hits, F.cross_entropy(logits, resident.test.labels).item()

    validation = trained.curves["validation_accuracy"].values
    expected = {}
    for which, state, index in (
        ("initial", before.state_dict(), 0),
        ("best", trained.best, trained.best_index),
        ("last", trained.last, -1),
    ):
        accuracy, loss = test_scores(state)
        expected[f"test_accuracy.{which}"] = accuracy
        expected[f"test_loss.{which}"] = pytest.approx(loss, rel=1e-5)
        expected[f"validation_accuracy.{which}"] = validation[index]
    assert numbers == expected
    assert equal(net.state_dict(), trained.last)


def test_batch_norm_gets_a_number_with_batch_statistics() -> None:
    net = _random_network()
    net[1].running_mean.fill_(1e6)  # so in eval mode, every image looks alike
    trained = _train_one(recipe(), net)
    chance = trained.numbers["validation_accuracy.initial"]
    assert trained.numbers["validation_accuracy.initial_batch_statistics"] != chance
    assert "validation_accuracy.initial_batch_statistics" not in _train_one(recipe()).numbers


def test_curves_share_their_steps_and_begin_before_training() -> None:
    chosen = recipe(
        evaluation={"every": 5, "unit": "batch"},
        schedule={"name": "step", "milestones": [1], "factors": [0.5]},
    )
    trained = _train_one(chosen)
    assert set(trained.curves) == {
        "validation_accuracy",
        "validation_loss",
        "train_loss",
        "learning_rate",
    }
    for curve in trained.curves.values():
        assert curve.steps == [0, 5, 10, 15, 20, 21]
        assert curve.epochs == pytest.approx([0, 5 / 7, 10 / 7, 15 / 7, 20 / 7, 3])
    assert trained.curves["learning_rate"].values == [None, 0.05, 0.025, 0.025, 0.025, 0.025]


def test_a_plateau_learns_from_the_validation_losses() -> None:
    net = network()
    _train_one(recipe(), net)
    unlearning = recipe(
        label_smoothing=0.9,
        schedule={"name": "plateau", "factor": 0.5, "patience": 2},
        evaluation={"every": 3, "unit": "batch"},
    )
    curves = _train_one(unlearning, net).curves
    losses = curves["validation_loss"].values
    assert losses == sorted(losses), "each evaluation is to be worse than the one before"
    # Three evaluations: the lowest, then two that are worse; the rate drops for the steps after.
    assert curves["learning_rate"].values == [
        None, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625
    ]  # fmt: skip


# --- divergence ---------------------------------------------------------------------------------


class _PoisonAt(nn.Module):
    """Turns activations into NaN at one training step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.calls = step, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return x * math.nan if self.training and self.calls == self.step else x


def test_nan_stops_that_member_only_and_keeps_its_curves() -> None:
    poisoned, sound = network(0, _PoisonAt(10)), network(1)
    first, second = train([Member(poisoned, 0), Member(sound, 1)], data(), recipe())
    assert first.status is TrialStatus.DIVERGED
    assert first.failure is not None
    assert first.failure.kind == "nan"
    assert "training loss was not finite after 14 steps" in first.failure.message
    assert first.curves["validation_accuracy"].steps == [0, 7]
    assert (first.cost.steps, first.cost.images_seen) == (14, 100)
    assert set(final_numbers(poisoned, first, data())) == {
        "test_accuracy.initial",
        "test_loss.initial",
        "validation_accuracy.initial",
    }
    assert second.status is TrialStatus.DONE
    assert equal(second.last, _train_one(recipe(), network(1), seed=1).last)


def test_infinite_weights_are_found_before_training() -> None:
    net = network()
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] = math.inf
    trained = _train_one(recipe(), net)
    assert trained.status is TrialStatus.DIVERGED
    assert trained.failure is not None
    assert trained.failure.kind == "infinity"
    assert trained.cost.steps == 0
    assert len(trained.curves["validation_loss"].values) == 1


def test_a_rate_that_is_too_high_diverges_the_same_way_each_time() -> None:
    chosen = recipe(optimiser={"name": "sgd", "lr": 1e3, "weight_decay": 1.0}, epochs=40)
    first, second = _train_one(chosen), _train_one(chosen)
    assert first.status is TrialStatus.DIVERGED
    assert first.failure == second.failure
    assert first.curves == second.curves
    assert first.batch_order == second.batch_order


def test_divergence_between_evaluations_is_noticed_within_100_steps() -> None:
    chosen = recipe(epochs=60, evaluation={"every": 60})
    trained = _train_one(chosen, network(0, _PoisonAt(150)))
    assert trained.cost.steps == 200
    assert trained.curves["validation_accuracy"].steps == [0]


def test_what_a_network_raises_passes_through() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        _train_one(recipe(), network(0, Broken()))
    assert torch.get_deterministic_debug_mode() == 0


# --- precision and wrong settings ---------------------------------------------------------------


def test_bfloat16_trains_on_the_cpu_with_other_bits() -> None:
    class Types(nn.Module):
        seen: set[tuple[bool, torch.dtype]] = set()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.add((self.training, x.dtype))
            return x

    half = _train_one(recipe(precision="bfloat16"), network(0, Types()))
    # Checkpoints are judged in float32.
    assert Types.seen == {(True, torch.bfloat16), (False, torch.float32)}
    full = _train_one(recipe(), network())
    assert half.last["0.weight"].dtype == torch.float32
    assert not torch.equal(half.last["0.weight"], full.last["0.weight"])
    torch.testing.assert_close(half.last["0.weight"], full.last["0.weight"], rtol=0, atol=0.02)
    again = _train_one(recipe(precision="bfloat16"), network())
    assert equal({"w": again.last["0.weight"]}, {"w": half.last["0.weight"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 51}, "`batch_size` is 51, but the training split has only 50 images"),
        ({"precision": "float16"}, "float16, which needs a CUDA device, got `cpu`"),
        (
            {"schedule": {"name": "cosine", "warmup_batches": 21}},
            "`schedule.warmup_batches` is 21, but the whole training has only 21 batches",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _train_one(recipe(**changes))


def test_costs_are_measured() -> None:
    cost = _train_one(recipe()).cost
    assert 0 < cost.wall_seconds < 60
    assert 0 < cost.device_seconds < 60
    assert 50e6 < cost.peak_memory_bytes < 50e9


def test_what_is_returned_makes_a_record_that_survives_json() -> None:
    net = network(0, _PoisonAt(3))
    trained = _train_one(recipe(), net)
    record = Record(
        key="0" * 64,
        identity={},
        status=trained.status,
        failure=trained.failure,
        curves=trained.curves,
        final=final_numbers(net, trained, data()),
        best_index=trained.best_index,
        cost=trained.cost,
        environment={},
        classes=3,
        budget_steps=21,
    )
    assert Record.model_validate_json(record.model_dump_json()) == record


# --- CUDA ---------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_cuda_follows_the_cpu_to_rounding(precision: str) -> None:
    chosen = recipe(precision=precision, augmentation={"crop_padding": 1, "flip": True})
    on_gpu = _train_one(chosen, resident=data(device="cuda"))
    on_cpu = _train_one(recipe(augmentation={"crop_padding": 1, "flip": True}))
    assert on_gpu.batch_order == on_cpu.batch_order
    tolerance = 1e-4 if precision == "float32" else 0.03
    for name, expected in on_cpu.last.items():
        assert on_gpu.last[name].device.type == "cpu"
        torch.testing.assert_close(on_gpu.last[name], expected, rtol=0, atol=tolerance)
    assert on_gpu.cost.device_seconds > 0
    assert on_gpu.cost.peak_memory_bytes > 0


def test_test_images_are_looked_at_after_the_epochs_asked_for_and_nothing_else_changes() -> None:
    asked = recipe(epochs=3, evaluation={"every": 2, "test_epochs": [1, 3]})
    plain = recipe(epochs=3, evaluation={"every": 2})
    tested, other = _train_one(asked, network()), _train_one(plain, network())
    assert equal(tested.last, other.last)
    extra = tested.numbers.keys() - other.numbers.keys()
    assert extra == {
        f"test_{what}.epoch_{epoch}" for what in ("accuracy", "loss") for epoch in (1, 3)
    }
    short = recipe(epochs=1)
    net = network()
    numbers = final_numbers(net, _train_one(short, net), data())
    assert tested.numbers["test_loss.epoch_1"] == numbers["test_loss.last"]


def test_the_epochs_after_which_is_tested_must_rise() -> None:
    with pytest.raises(ValidationError, match="must rise"):
        recipe(evaluation={"test_epochs": [3, 1]})


def test_weights_are_kept_after_the_epochs_asked_for() -> None:
    asked = recipe(epochs=3, evaluation={"every": 3, "kept_epochs": [0, 2, 3]})
    start = state_of(network())
    kept = _train_one(asked, network())
    assert list(kept.kept) == [0, 2, 3]
    assert equal(kept.kept[0], start)
    assert equal(kept.kept[2], _train_one(recipe(epochs=2), network()).last)
    assert equal(kept.kept[3], kept.last)
    assert kept.curves["validation_accuracy"].epochs == [0, 2, 3]
    assert kept.kept[3]["0.weight"].data_ptr() != kept.last["0.weight"].data_ptr()
    whole = kept.tensors()
    assert whole["kept.0.weight"].shape == (3, *start["0.weight"].shape)
    assert torch.equal(whole["kept.0.weight"][1], kept.kept[2]["0.weight"])


def test_one_that_diverges_has_kept_what_it_reached() -> None:
    asked = recipe(optimiser={"name": "sgd", "lr": 1e38}, evaluation={"kept_epochs": [0, 1, 2, 3]})
    kept = _train_one(asked, network())
    assert kept.status is TrialStatus.DIVERGED
    assert list(kept.kept) == [0]


@pytest.mark.parametrize(
    ("evaluation", "why"),
    [
        ({"kept_epochs": [3, 1]}, "`kept_epochs` must rise"),
        ({"kept_epochs": [-1]}, "greater than or equal to 0"),
        ({"kept_epochs": [4]}, "names epoch 4, but training ends after 3 epochs"),
    ],
)
def test_epochs_that_cannot_be_kept_are_refused(evaluation: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        recipe(epochs=3, evaluation=evaluation)


def test_a_recipe_that_keeps_nothing_is_written_as_ever() -> None:
    assert "kept_epochs" not in recipe().model_dump(mode="json")["evaluation"]
    kept = recipe(epochs=3, evaluation={"kept_epochs": [0]}).model_dump(mode="json")
    assert kept["evaluation"]["kept_epochs"] == [0]
    assert Recipe.model_validate(kept, strict=False).evaluation.kept_epochs == [0]
