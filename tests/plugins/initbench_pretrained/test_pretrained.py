"""Pretrained baselines copy what was trained, and draw what must be fresh."""

from __future__ import annotations

import pytest
import torch
from initbench_pretrained.pretrained import Pretrained

from initbench.api import (
    FitInputs,
    PluginError,
    Target,
    Treatment,
    UserError,
    Zoo,
    ZooMember,
    ZooSource,
)
from initbench.models.cifar_resnet import CifarResNet
from initbench.models.tracing import anatomy
from initbench.plugin.apply import Applied, apply


def resnet(classes: int) -> torch.nn.Module:
    return CifarResNet(CifarResNet.Config(depth=20)).build(3, 32, classes)


def trained(seed: int, classes: int = 10) -> torch.nn.Module:
    network = resnet(classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return network


def zoo(*seeds: int, classes: int = 10) -> Zoo:
    members = []
    for seed in seeds:
        state = dict(trained(seed, classes).state_dict())
        other = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
        members.append(ZooMember(1_000_000 + seed, best=other, last=state, validation_accuracy=0.5))
    return Zoo(members, missing=1)


def start(initialiser: Pretrained, members: Zoo, network: torch.nn.Module, seed: int) -> Applied:
    known = anatomy(network, torch.zeros(2, 3, 32, 32))
    target = Target("cifar_resnet", {}, "pcam_small", {}, {}, 2, known)
    artifact = initialiser.fit(FitInputs(target, (members,), torch.Generator()))
    return apply(initialiser, network, known, seed=seed, artifact=artifact)


def pretrained(**config: object) -> Pretrained:
    return Pretrained(Pretrained.Config(**config))


def head_of(network: torch.nn.Module) -> set[str]:
    layers = anatomy(network, torch.zeros(2, 3, 32, 32))
    (head,) = (layer for layer in layers if layer.role == "head")
    return {name for name in (head.weight, head.bias) if name}


def test_everything_but_the_head_is_copied_running_statistics_included() -> None:
    network = resnet(2)
    applied = start(pretrained(), zoo(0, 1, 2), network, seed=4)
    expected = trained(1).state_dict()
    head = head_of(network)
    for name, tensor in network.state_dict().items():
        if name not in head:
            assert torch.equal(tensor, expected[name]), name
    assert applied.notes == [], "running statistics are declared"
    treatments = {name: entry.treatment for name, entry in applied.coverage}
    assert {n for n, t in treatments.items() if t is Treatment.RULE} == head
    assert {t for n, t in treatments.items() if n not in head} == {Treatment.GENERATED}


def test_a_fresh_head_is_that_of_he_and_differs_between_seeds() -> None:
    first, second = resnet(1000), resnet(1000)
    start(pretrained(), zoo(0), first, seed=0)
    start(pretrained(), zoo(0), second, seed=1)
    (weight,) = (n for n in head_of(first) if first.get_parameter(n).ndim == 2)
    drawn = first.get_parameter(weight)
    assert drawn.var().item() == pytest.approx(2 / drawn.shape[1], rel=0.05)
    assert not torch.equal(drawn, second.get_parameter(weight))


def test_with_the_head_copied_the_network_is_the_trained_one() -> None:
    network = resnet(10)
    start(pretrained(head="copied"), zoo(0, 1), network, seed=3)
    expected = trained(1).state_dict()
    assert all(torch.equal(t, expected[n]) for n, t in network.state_dict().items())


def test_trials_of_equal_seeds_share_a_start_and_others_have_their_own() -> None:
    members = zoo(*range(3))
    weights = []
    for seed in range(4):
        network = resnet(2)
        start(pretrained(), members, network, seed)
        weights.append(next(network.parameters()).detach().clone())
    assert torch.equal(weights[0], weights[3])
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_the_checkpoint_is_the_one_asked_for() -> None:
    network = resnet(10)
    start(pretrained(head="copied", checkpoint="best"), zoo(0), network, seed=0)
    assert all((p == 0).all() for p in network.parameters())


def test_another_number_of_classes_needs_a_fresh_head() -> None:
    with pytest.raises(UserError, match="`head: he`"):
        start(pretrained(head="copied"), zoo(0), resnet(2), seed=0)


def test_networks_of_another_model_are_refused() -> None:
    deeper = CifarResNet(CifarResNet.Config(depth=32)).build(3, 32, 10)
    with pytest.raises(PluginError, match="another model"):
        start(pretrained(), zoo(0), deeper, seed=0)


def test_without_a_single_trained_network_the_fit_fails() -> None:
    with pytest.raises(PluginError, match="none of the networks"):
        start(pretrained(), Zoo([], missing=3), resnet(2), seed=0)


def test_the_zoo_is_declared_as_configured() -> None:
    config = {
        "dataset": "cifar10",
        "dataset_config": {"split": "harder2023"},
        "recipe": {"name": "harder2023_cifar10", "epochs": 5},
        "start_config": {"gain": "relu"},
        "networks": 7,
    }
    target = Target("cifar_resnet", {}, "pcam_small", {}, {}, 2, None)  # type: ignore[arg-type]
    (source,) = pretrained(**config).sources(target)
    assert source == ZooSource(
        count=7,
        dataset="cifar10",
        dataset_config={"split": "harder2023"},
        recipe={"name": "harder2023_cifar10", "epochs": 5},
        initialiser="he",
        initialiser_config={"gain": "relu"},
    )
