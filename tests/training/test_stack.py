"""A stack computes what each of its networks computes alone."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initbench.training import evaluation
from initbench.training.evaluation import evaluate
from initbench.training.outcome import state_of
from initbench.training.stack import Stack
from initbench.training.stacked_evaluation import evaluate_stack
from tests.training.families import FAMILIES, OF_LIBRARIES, InDouble, family
from tests.training.networks import data, equal, network

_CPU = torch.device("cpu")


@pytest.mark.parametrize("name", [*FAMILIES, *OF_LIBRARIES[:2]])
def test_logits_gradients_and_buffers_are_those_of_each_network(name: str) -> None:
    _computes_what_each_network_computes(name, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [*FAMILIES, *OF_LIBRARIES])
def test_logits_gradients_and_buffers_on_a_gpu(name: str) -> None:
    _computes_what_each_network_computes(name, "cuda")


def _computes_what_each_network_computes(name: str, device: str) -> None:
    build, resident = family(name, device)
    networks = [build(seed).double().train().to(device) for seed in range(3)]
    stack = Stack(networks, torch.device(device))
    with InDouble():
        images, labels = resident.batch("train", torch.arange(15, device=device))
    logits = stack.logits(images.view(3, 5, *images.shape[1:]))
    loss = F.cross_entropy(logits.flatten(0, 1), labels, reduction="sum")
    (gradients,) = torch.autograd.grad(loss, stack.weights)
    named = stack.by_name(gradients)
    for i, alone in enumerate(networks):
        part = slice(5 * i, 5 * (i + 1))
        own = alone(images[part])
        F.cross_entropy(own, labels[part], reduction="sum").backward()
        torch.testing.assert_close(logits[i], own)
        for key, p in alone.named_parameters():
            torch.testing.assert_close(named[key][i], p.grad, rtol=1e-7, atol=1e-9)
    states = [stack.state(tensors) for tensors in stack.tensors(range(3))]
    for state, alone in zip(states, networks, strict=True):
        torch.testing.assert_close(state, state_of(alone))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("batch_statistics", [False, True])
@pytest.mark.parametrize("batch_size", [1, 100])  # one member at once, or all
def test_scores_are_those_of_each_network(
    name: str, batch_statistics: bool, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, resident = family(name)
    pixels = resident.train.images[0, 0].numel()
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", 12 * pixels)  # two batches
    networks = [build(seed).double().train() for seed in range(3)]
    stack = Stack(networks, _CPU)
    stack.network.train()
    before = stack.tensors(range(3))
    with InDouble():
        scores = evaluate_stack(
            stack, resident, "validation", batch_size=batch_size, batch_statistics=batch_statistics
        )
        expected_scores = [
            evaluate(alone, resident, "validation", batch_statistics=batch_statistics)
            for alone in networks
        ]
    for found, expected in zip(scores, expected_scores, strict=True):
        assert found.accuracy == expected.accuracy
        assert found.loss == pytest.approx(expected.loss, rel=1e-9)
    after = stack.tensors(range(3))
    assert all(equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(module.training for module in stack.network.modules())


def test_a_member_of_nans_gets_nothing_right_and_harms_nobody() -> None:
    networks = [network(seed) for seed in range(3)]
    with torch.no_grad():
        networks[1][0].weight.fill_(math.nan)
    first, second, third = evaluate_stack(Stack(networks, _CPU), data(), "validation", batch_size=8)
    assert second.accuracy == 0
    assert math.isnan(second.loss)
    for found, alone in ((first, networks[0]), (third, networks[2])):
        expected = evaluate(alone, data(), "validation")
        assert found.accuracy == expected.accuracy
        assert found.loss == pytest.approx(expected.loss, rel=1e-6)


def test_members_can_be_removed() -> None:
    networks = [network(seed, nn.BatchNorm2d(4)) for seed in range(4)]
    networks[0][0].bias.requires_grad_(False)
    for other in networks[1:]:
        other[0].bias.requires_grad_(False)
        other[1].running_mean.normal_()
    stack = Stack(networks, _CPU)
    stack.keep(torch.tensor([3, 1]))
    assert len(stack) == 2
    for row, alone in ((0, networks[3]), (1, networks[1])):
        (tensors,) = stack.tensors([row])
        assert equal(stack.state(tensors), state_of(alone))


def test_the_networks_themselves_are_left_alone() -> None:
    alone = network(0, nn.BatchNorm2d(4))
    before = copy.deepcopy(alone.state_dict())
    stack = Stack([alone, alone], _CPU)
    stack.network.train()
    logits = stack.logits(torch.rand(2, 5, 1, 6, 6))
    (gradients,) = torch.autograd.grad(logits.sum(), stack.weights)
    with torch.no_grad():
        stack.weights -= gradients
    assert equal(alone.state_dict(), before)
    assert not equal(stack.state(stack.tensors([0])[0]), before)


def test_the_largest_weight_counts_frozen_ones_and_shows_nan() -> None:
    networks = [network(seed) for seed in range(3)]
    for each in networks:
        each[0].bias.requires_grad_(False)
    with torch.no_grad():
        networks[0][0].bias[1] = -7.0
        networks[1][0].bias[1] = math.nan
        networks[2][0].weight[0] = -math.inf
    largest = Stack(networks, _CPU).largest_weights().tolist()
    assert largest[0] == 7
    assert math.isnan(largest[1])
    assert largest[2] == math.inf


def test_tied_and_scalar_parameters_keep_their_ties() -> None:
    class Tied(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            torch.manual_seed(seed)
            self.first, self.second = nn.Linear(36, 36), nn.Linear(36, 36)
            self.second.weight = self.first.weight
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            hidden = self.second(torch.tanh(self.first(images.flatten(1))))
            return (self.scale * hidden)[:, :3]

    with torch.random.fork_rng(devices=[]):
        networks = [Tied(seed) for seed in range(2)]
    stack = Stack(networks, _CPU)
    images = torch.rand(2, 4, 1, 6, 6)
    for own, alone, mine in zip(stack.logits(images), networks, images, strict=True):
        torch.testing.assert_close(own, alone(mine))
    assert equal(stack.state(stack.tensors([1])[0]), state_of(networks[1]))
