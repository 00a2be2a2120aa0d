"""What cannot be stacked is found out, with a reason, and leaves no trace."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from initbench.data.streamed import StreamedData
from initbench.training.outcome import Member
from initbench.training.stackable import why_not_stackable
from tests.training.families import FAMILIES, family
from tests.training.networks import data, equal, network, recipe


def _why(networks: list[nn.Module], **changes: Any) -> str | None:
    members = [Member(net, seed) for seed, net in enumerate(networks)]
    return why_not_stackable(members, data(), recipe(**changes))


def _why_with(make: Any, **changes: Any) -> str | None:
    """Return the verdict on networks with a module of `make` in the middle."""
    return _why([network(seed, make()) for seed in range(3)], **changes)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_families_are_stackable(name: str, precision: str) -> None:
    build, resident = family(name)
    members = [Member(build(seed), seed) for seed in range(3)]
    assert why_not_stackable(members, resident, recipe(precision=precision)) is None


def test_one_member_is_a_stack_too() -> None:
    assert _why([network()]) is None


# --- modules that cannot be stacked -------------------------------------------------------------


class _Depends(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.mean() > 0 else -x


class _Item(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.detach().abs().max().item()


class _Counts(nn.Module):
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return x / self.calls if self.training else x


class _Remembers(nn.Module):
    """Replaces a buffer, which a stack would forget."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen = self.seen + 1
        return x


class _ForeignRandom(nn.Module):
    """Draws from a generator that vmap does not know."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import random

        return x * random.random()


class _Spare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class _Raises(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("not today\nnor tomorrow")


class _DependsInEvalMode(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.training or x.mean() > 0 else -x


def _hooked() -> nn.Module:
    module = nn.Identity()
    module.register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (nn.Dropout, "draws random numbers"),
        (nn.RReLU, "a stack of it raises RuntimeError: vmap: we do not yet support"),
        (_Depends, "depends on the values of its input"),
        (_DependsInEvalMode, "depends on the values of its input"),
        (_Item, "depends on the values of its input"),
        (lambda: nn.BatchNorm2d(4, momentum=None), "depends on the values of its input"),
        (_Counts, "`1` (_Counts) keeps a state of its own"),
        (_Remembers, "a forward pass changes `1.seen` otherwise in a stack"),
        (_ForeignRandom, "are others in a stack"),
        (_Spare, "`1.spare.weight` takes no part in the loss"),
        (_Raises, "a stack of it raises ValueError: not today"),
        (_hooked, "`1` (Identity) has hooks"),
    ],
)
def test_what_cannot_be_stacked_is_told_with_its_reason(make: Any, reason: str) -> None:
    why = _why_with(make)
    assert why is not None
    assert reason in why
    assert "\n" not in why


def test_dropout_that_drops_nothing_is_no_obstacle() -> None:
    assert _why_with(lambda: nn.Dropout(0.0)) is None


def test_half_precision_and_streamed_images_are_not_stacked() -> None:
    assert "float16" in (_why([network()], precision="float16") or "")
    streamed = StreamedData(**{k: getattr(data(), k) for k in StreamedData.__dataclass_fields__})
    why = why_not_stackable([Member(network(), 0)], streamed, recipe())
    assert why == "the images are streamed from files"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda: network(1, nn.BatchNorm2d(4)), "different modules"),
        (lambda: network(1, nn.LeakyReLU(0.2)), "different modules"),
        (lambda: network(1, nn.LeakyReLU()).double(), "different parameters or buffers"),
        (lambda: network(1, nn.LeakyReLU()).requires_grad_(False), "different parameters"),
    ],
)
def test_networks_that_differ_are_not_stacked(other: Any, reason: str) -> None:
    why = _why([network(0, nn.LeakyReLU()), network(2, nn.LeakyReLU()), other()])
    assert reason in (why or "")


def test_networks_that_differ_in_what_they_do_not_show_are_not_stacked() -> None:
    class Scaled(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.factor * x

    assert _why([network(s, Scaled(2.0)) for s in range(2)]) is None
    why = _why([network(s, Scaled(2.0 + s)) for s in range(2)])
    assert why == "its logits are others in a stack"


def test_nothing_to_train_is_not_stacked() -> None:
    assert "in place of one" in (_why([network().requires_grad_(False)]) or "")
    mixed = network()
    mixed[0].bias = nn.Parameter(mixed[0].bias.detach().double())
    assert "parameters of 2 types" in (_why([mixed]) or "")


def test_weights_that_are_not_finite_do_not_hide_an_obstacle() -> None:
    networks = [network(seed, _Item()) for seed in range(4)]
    with torch.no_grad():
        networks[0][0].weight.fill_(math.nan)
        networks[1][0].weight.fill_(math.inf)
    assert "depends on" in (_why(networks) or "")
    assert _why([networks[0][:1] + network()[1:], network()]) is None


@pytest.mark.parametrize("extra", [lambda: nn.BatchNorm2d(4), nn.Dropout, _Raises])
def test_trying_leaves_no_trace(extra: Any) -> None:
    networks = [network(seed, extra()).eval() for seed in range(2)]
    before = [copy.deepcopy(net.state_dict()) for net in networks]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _why(networks)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_deterministic_debug_mode() == 0
    for net, state in zip(networks, before, strict=True):
        assert equal(net.state_dict(), state)
        assert not any(module.training for module in net.modules())
        assert all(p.grad is None for p in net.parameters())
