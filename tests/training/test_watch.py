"""Layers can be watched while they train, and training does not notice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initbench.data.resident import ResidentData
from initbench.models.hypernetwork.network import GeneratedNetwork
from initbench.store.checkpoint import CheckpointFile
from initbench.store.record import LayerCurves, TrialStatus
from initbench.streams import Stream, generator
from initbench.training import watch as module
from initbench.training.checkpoint import Keeper
from initbench.training.outcome import Member, Trained
from initbench.training.stackable import why_not_stackable
from initbench.training.trainer import train
from initbench.training.watch import Watch
from tests.models.hypernetwork.support import built
from tests.training.networks import data, equal, network, recipe

WATCHED = {"evaluation": {"every": 3, "unit": "batch", "layers": True}}
PLAIN = {"evaluation": {"every": 3, "unit": "batch"}}


def trained(net: nn.Module, keeper: Keeper | None = None, **changes: Any) -> Trained:
    (outcome,) = train([Member(net, 3, keeper)], data(), recipe(**changes))
    return outcome


def curves(outcome: Trained) -> LayerCurves:
    assert outcome.layers is not None
    return outcome.layers


def hypernetwork(**embedding: Any) -> GeneratedNetwork:
    main = {"name": "mlp", "widths": [5, 5], "activation": "tanh"}
    return built({"main": main, "embedding": {"size": 4, **embedding}}, 1, 6)


def shown(resident: ResidentData) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(len(resident.validation), generator=generator(0, Stream.WATCH))
    return resident.batch("validation", order[:300])


# --- what is seen -------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("at_once", [1000, 4])
def test_what_is_seen_is_what_a_slow_pass_by_hand_gives(
    smoothing: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "images_at_once", lambda data, split: at_once)
    resident = data()
    net = network(0, nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    watch = Watch(net, resident, seed=5, smoothing=smoothing)
    seen = watch.look()
    assert watch.layers == ["0", "5"]

    conv, norm, _, tanh, flatten, head = net.eval()
    images, labels = shown(resident)
    first = conv(images)
    first.retain_grad()
    second = head(flatten(tanh(norm(first))))
    second.retain_grad()
    loss = F.cross_entropy(second, labels, label_smoothing=smoothing, reduction="sum")
    loss.backward()
    for i, (layer, output) in enumerate(((conv, first), (head, second))):
        expected = {
            "weight_mean": layer.weight.mean(),
            "weight_std": layer.weight.std(correction=0),
            "activation_mean": output.mean(),
            "activation_variance": output.var(correction=0),
            "gradient_mean": output.grad.mean(),
            "gradient_variance": output.grad.var(correction=0),
            "gradient_norm": layer.weight.grad.norm() / len(images),
        }
        found = {name: numbers[i] for name, numbers in seen.items()}
        numbers_by_hand = {name: number.item() for name, number in expected.items()}
        assert found == pytest.approx(numbers_by_hand, rel=1e-4, abs=1e-7)


def test_of_a_hypernetwork_the_generated_weights_are_seen() -> None:
    net = hypernetwork()
    resident = data()
    watch = Watch(net, resident, seed=0, smoothing=0.0)
    assert watch.layers == ["main.linear1", "main.linear2", "main.head"]
    seen = watch.look()
    generated = net.generated()
    images, labels = shown(resident)
    tensors = {name: weight.detach().requires_grad_() for name, weight in generated.items()}
    weights = [tensors[f"{name}.weight"] for name in ("linear1", "linear2", "head")]
    logits = torch.func.functional_call(net.main, tensors, (images,))
    gradients = torch.autograd.grad(F.cross_entropy(logits, labels), weights)
    for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        assert seen["weight_std"][i] == pytest.approx(weight.std(correction=0).item(), rel=1e-5)
        assert seen["gradient_norm"][i] == pytest.approx(gradient.norm().item(), rel=1e-4)


def test_with_noise_all_draws_are_seen() -> None:
    net = hypernetwork(noise=0.5, draws=3)
    seen = Watch(net, data(), seed=0, smoothing=0.0).look()
    draws = [net.generated(draw)["linear1.weight"] for draw in range(3)]
    together = torch.stack(draws).std(correction=0).item()
    assert seen["weight_std"][0] == pytest.approx(together, rel=1e-5)


def test_frozen_and_hidden_layers_leave_open_what_they_do_not_have() -> None:
    net = network()
    net[0].requires_grad_(False)
    seen = Watch(net, data(), seed=0, smoothing=0.0).look()
    assert math.isnan(seen["gradient_norm"][0])
    assert math.isfinite(seen["gradient_norm"][1])
    assert math.isfinite(seen["activation_variance"][0])


def test_more_images_than_there_are_are_not_asked_for() -> None:
    few = Watch(network(), data(validation=4), seed=0, smoothing=0.0)
    assert few.look()["activation_variance"][0] > 0


# --- and nothing is touched ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "dropout and batch norm", "generated, with noise"])
def test_training_has_the_same_bits_with_and_without_a_watch(name: str) -> None:
    def net() -> nn.Module:
        if name == "plain":
            return network()
        if name == "generated, with noise":
            return hypernetwork(noise=0.1, draws=2)
        return network(0, nn.BatchNorm2d(4), nn.Dropout(0.5))

    torch.manual_seed(0)
    watched = trained(net(), **WATCHED)
    torch.manual_seed(0)
    plain = trained(net(), **PLAIN)
    assert equal(watched.last, plain.last)
    assert equal(watched.best, plain.best)
    assert watched.curves == plain.curves
    assert watched.numbers == plain.numbers
    assert plain.layers is None


def test_a_look_leaves_gradients_modes_hooks_and_random_state_alone() -> None:
    net = network(0, nn.BatchNorm2d(4)).train()
    resident = data()
    net(resident.batch("train", torch.arange(8))[0]).sum().backward()
    before = {name: p.grad.clone() for name, p in net.named_parameters()}  # type: ignore[union-attr]
    state = {name: x.clone() for name, x in net.state_dict().items()}
    random = torch.get_rng_state()
    Watch(net, resident, seed=1, smoothing=0.0).look()
    assert all(torch.equal(p.grad, before[name]) for name, p in net.named_parameters())  # type: ignore[arg-type]
    assert equal(net.state_dict(), state)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(m.training and not m._forward_hooks for m in net.modules())


# --- what is kept -------------------------------------------------------------------------------


def test_there_is_a_number_of_each_layer_at_each_evaluation() -> None:
    outcome = trained(network(), **WATCHED)
    found = curves(outcome)
    axis = outcome.curves["validation_loss"]
    assert (found.steps, found.epochs) == (axis.steps, axis.epochs)
    assert found.layers == ["0", "3"]
    assert len(found.values) == 7
    for layers in found.values.values():
        assert [len(layer) for layer in layers] == [len(axis.steps)] * 2
    stds = found.values["weight_std"][1]
    last = outcome.last["3.weight"].std(correction=0).item()
    assert stds[-1] == pytest.approx(last, rel=1e-5)
    assert stds[0] != stds[-1]


def test_after_divergence_the_curves_stop() -> None:
    outcome = trained(network(), optimiser={"name": "sgd", "lr": 1e39}, **WATCHED)
    assert outcome.status is TrialStatus.DIVERGED
    found = curves(outcome)
    assert found.steps == outcome.curves["validation_loss"].steps
    assert len(found.steps) < 7
    assert len(found.values["weight_std"][0]) == len(found.steps)


def test_what_is_not_finite_is_left_open() -> None:
    net = network()
    nn.init.constant_(net[3].weight, 3e38)
    found = curves(trained(net, **WATCHED))
    assert found.values["activation_variance"][1][0] is None
    assert found.values["activation_variance"][0][0] is not None


class _StoppedError(Exception):
    pass


def test_a_resumed_training_has_the_curves_of_an_uninterrupted_one(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "a.checkpoint", "k" * 64)
    steps = 0

    def stop(module: nn.Module, inputs: Any) -> None:
        nonlocal steps
        steps += module.training
        if steps == 11:
            raise _StoppedError

    net = network()
    net.register_forward_pre_hook(stop)
    with pytest.raises(_StoppedError):
        trained(net, Keeper(file, seconds=0), **WATCHED)
    resumed = trained(network(), Keeper(file, seconds=0), **WATCHED)
    assert resumed.attempt_notes == ["continued from step 10"]
    assert resumed.layers == trained(network(), **WATCHED).layers


def test_trials_whose_layers_are_watched_are_not_stacked() -> None:
    members = [Member(network(seed), seed) for seed in range(2)]
    assert why_not_stackable(members, data(), recipe(**PLAIN)) is None
    reason = why_not_stackable(members, data(), recipe(**WATCHED))
    assert reason == "its layers are watched while it trains"
