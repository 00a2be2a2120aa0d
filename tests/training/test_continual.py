"""Tasks one after another: the equations of the papers, alone and in stacks, stopped or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from initbench.data.resident import ResidentData
from initbench.data.sets.chang2020_regression import Chang2020Regression
from initbench.errors import MisfitError
from initbench.models.hypernetwork.config import HypernetworkConfig
from initbench.models.hypernetwork.model import Hypernetwork
from initbench.plugin.initialiser import Config
from initbench.store.checkpoint import CheckpointFile
from initbench.store.record import TrialStatus
from initbench.training.checkpoint import Keeper
from initbench.training.continual import train_continually
from initbench.training.outcome import Member, Trained
from initbench.training.recipe import Recipe
from initbench.training.stackable import why_not_stackable
from initbench.training.stacked_checkpoint import StackKeeper
from initbench.training.stacked_continual import train_stack_continually
from initbench.training.trainer import train
from tests.store.worlds import KEY
from tests.training.networks import data as images
from tests.training.networks import network as small_network
from tests.training.test_checkpoint import Stopped, Stopping, _same
from tests.training.test_stacked_checkpoint import Stopping as StoppingStack

RATE, BETA = 0.003, 0.5
MODEL = Hypernetwork(
    HypernetworkConfig.model_validate(
        {
            "main": {"name": "mlp", "widths": [6, 6]},
            "biases": True,
            "tasks": 3,
            "embedding": {"size": 0, "shared": 2, "trainable": True},
            "hidden": [5],
        }
    )
)


def _recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "optimiser": {"name": "sgd", "lr": RATE},
            "epochs": 2,
            "batch_size": 32,
            "drop_last": True,
            "evaluation": {"every": 3, "unit": "batch"},
            "continual": {"tasks": 3, "output_regulariser": BETA},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def data() -> ResidentData:
    return ResidentData.of(Chang2020Regression(Config()).load(None))


def _member(seed: int, keeper: Keeper | None = None) -> Member:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MODEL.build(2, 1, 1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(0.7)
    return Member(network, seed, keeper)


def _alone(data: ResidentData, seed: int = 0, **changes: Any) -> Trained:
    (trained,) = train_continually([_member(seed)], data, _recipe(**changes))
    return trained


def _by_the_book(network: nn.Module, data: ResidentData, seed: int) -> dict[str, torch.Tensor]:
    """Return the parameters after training, by the equations as they stand, step by step.

    The whole gradient with respect to theta is put together first, the part of the regulariser at
    tentative parameters, as in the authors' code.
    """
    from initbench.streams import Stream, generator

    theta = {n: p.detach().clone() for n, p in network.named_parameters()}
    embeddings = theta.pop("generator.embeddings.shared")

    def made(own: dict[str, torch.Tensor], rows: torch.Tensor, task: int) -> list[torch.Tensor]:
        tensors = {n.removeprefix("generator."): x for n, x in own.items()}
        tensors["embeddings.shared"] = rows
        found: list[torch.Tensor] = functional_call(
            network.get_submodule("generator"), tensors, (0, task)
        )
        return found

    for task in range(3):
        before = [[x.detach() for x in made(theta, embeddings, k)] for k in range(task)]
        for epoch in range(2 * task, 2 * task + 2):
            order = torch.randperm(100, generator=generator(seed, Stream.ORDER, epoch))
            for indices in (100 * task + order).split(32)[:3]:
                x, y = data.batch("train", indices)
                for tensor in (embeddings, *theta.values()):
                    tensor.requires_grad_()
                own = {**theta, "generator.embeddings.shared": embeddings}
                loss = F.mse_loss(functional_call(network, own, (x,)), y)
                of_embeddings, *gradients = torch.autograd.grad(loss, [embeddings, *theta.values()])
                embeddings = embeddings.detach()
                embeddings[task] -= RATE * of_embeddings[task]
                total = dict(zip(theta, gradients, strict=True))
                if task:
                    tentative = {
                        n: (p.detach() - RATE * total[n]).requires_grad_() for n, p in theta.items()
                    }
                    distances = [
                        (now - then).square().sum()
                        for k in range(task)
                        for now, then in zip(made(tentative, embeddings, k), before[k], strict=True)
                    ]
                    change = BETA * torch.stack(distances).sum() / task
                    back = torch.autograd.grad(change, list(tentative.values()))
                    total = {n: total[n] + g for n, g in zip(tentative, back, strict=True)}
                theta = {n: p.detach() - RATE * total[n] for n, p in theta.items()}
    return {**theta, "generator.embeddings.shared": embeddings.detach()}


def test_training_follows_the_equations(data: ResidentData) -> None:
    expected = _by_the_book(_member(0).network.train(), data, seed=0)
    trained = _alone(data)
    for name, tensor in expected.items():
        assert torch.allclose(trained.last[name], tensor, rtol=1e-5, atol=1e-7), name


def test_the_regulariser_keeps_what_was_generated(data: ResidentData) -> None:
    without = _alone(data, continual={"tasks": 3, "output_regulariser": 0})
    drawn_back = _alone(data)

    def moved(trained: Trained) -> float:
        after_one = _alone(data, epochs=2)  # the same first task for both
        assert after_one.curves["train_loss"].values[1] == trained.curves["train_loss"].values[1]
        return abs(
            trained.numbers["test_loss.task_1.after_3"]
            - trained.numbers["test_loss.task_1.after_1"]
        )

    assert moved(drawn_back) < moved(without)


def test_each_task_is_trained_on_its_own_images_for_all_epochs(data: ResidentData) -> None:
    trained = _alone(data)
    assert trained.cost.steps == 3 * 2 * 3
    assert trained.cost.images_seen == 18 * 32
    assert trained.curves["train_loss"].steps == [0, 3, 6, 9, 12, 15, 18]
    assert "validation_accuracy" not in trained.curves
    after = [name for name in trained.numbers if ".after_" in name]
    assert sorted(after) == sorted(
        f"test_loss.task_{k}.after_{t}" for t in (1, 2, 3) for k in range(1, t + 1)
    )


def test_a_stack_is_to_rounding_what_its_members_are_alone(data: ResidentData) -> None:
    members = [_member(seed) for seed in range(3)]
    assert why_not_stackable(members, data, _recipe()) is None
    for seed, together in enumerate(train_stack_continually(members, data, _recipe())):
        alone = _alone(data, seed)
        assert together.numbers == pytest.approx(alone.numbers, rel=1e-4)
        assert together.batch_order == alone.batch_order
        for name, tensor in alone.last.items():
            assert torch.allclose(together.last[name], tensor, rtol=1e-4, atol=1e-6), name


def test_a_member_that_diverges_leaves_the_others_as_they_are(data: ResidentData) -> None:
    members = [_member(seed) for seed in range(3)]
    with torch.no_grad():
        for parameter in members[1].network.parameters():
            parameter.mul_(30)
    outcomes = train_stack_continually(members, data, _recipe())
    assert [x.status for x in outcomes] == [
        TrialStatus.DONE, TrialStatus.DIVERGED, TrialStatus.DONE,
    ]  # fmt: skip
    assert outcomes[2].numbers == pytest.approx(_alone(data, 2).numbers, rel=1e-4)


@pytest.mark.parametrize("step", [0, 5, 6, 8, 12, 17])
def test_stopped_after_any_step_it_goes_on_to_the_same_bits(
    step: int, data: ResidentData, tmp_path: Path
) -> None:
    file = CheckpointFile(tmp_path / "a.checkpoint", KEY)
    with pytest.raises(Stopped):
        train_continually([_member(0, Stopping(file, step))], data, _recipe())
    (again,) = train_continually([_member(0, Keeper(file, 1e9))], data, _recipe())
    assert again.attempt_notes == [f"continued from step {step}"]
    assert _same(again, _alone(data))


@pytest.mark.parametrize("step", [5, 6, 8, 17])
def test_a_stopped_stack_goes_on_to_the_same_bits(
    step: int, data: ResidentData, tmp_path: Path
) -> None:
    keys = ["trial 0", "trial 1"]
    file = CheckpointFile(tmp_path / "a.checkpoint", KEY)

    def trained(keeper: StackKeeper | None) -> list[Trained]:
        return train_stack_continually([_member(0), _member(1)], data, _recipe(), keeper=keeper)

    with pytest.raises(Stopped):
        trained(StoppingStack(file, keys, step))
    for again, undisturbed in zip(
        trained(StackKeeper(file, keys, 1e9)), trained(None), strict=True
    ):
        assert _same(again, undisturbed)


def test_a_network_without_tasks_is_refused(data: ResidentData) -> None:
    plain = Member(nn.Sequential(nn.Flatten(), nn.Linear(2, 1)), 0)
    with pytest.raises(MisfitError, match=r"`\{name: hypernetwork, tasks: 3"):
        train_continually([plain], data, _recipe())


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": {"name": "adam", "lr": 0.01}},
        {"optimiser": {"name": "sgd", "lr": 0.01, "momentum": 0.9}},
        {"schedule": {"name": "cosine"}},
        {"clip_norm": 1.0},
        {"precision": "bfloat16"},
    ],
)
def test_only_plain_sgd_has_a_tentative_step(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`continual` needs plain SGD"):
        _recipe(**change)


def test_a_regression_without_tasks_is_trained_like_anything_else(data: ResidentData) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    chosen = Recipe.model_validate(
        {"optimiser": {"name": "adam", "lr": 0.01}, "epochs": 5, "batch_size": 32}
    )
    (trained,) = train([Member(plain, 0)], data, chosen)
    losses = trained.curves["validation_loss"].values
    assert all(loss is not None for loss in losses)
    assert trained.best_index == losses.index(min(losses))  # type: ignore[type-var]
    assert trained.numbers["test_loss.guessing"] > trained.numbers["train_loss.guessing"] * 0.5
    assert not any("accuracy" in name for name in (*trained.numbers, *trained.curves))


def test_keys_without_tasks_stay_what_they_were() -> None:
    chosen = _recipe(continual=None)
    assert "continual" not in chosen.model_dump(mode="json")
    assert chosen.epochs_in_all == chosen.epochs
    with pytest.raises(MisfitError):
        train_continually([Member(small_network(), 0)], images(), _recipe())
