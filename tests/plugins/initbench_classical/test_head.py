"""The rule for the classifier that all groups of a comparison can have in common."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from initbench_classical.orthogonal import DeltaOrthogonal, Orthogonal
from initbench_classical.truncated_normal import TruncatedNormal
from initbench_classical.variance_scaling import He, LeCun, Xavier
from torch import nn

from initbench.api import Initialiser
from tests.plugins.initbench_classical.support import initialise

METHODS: list[type[Initialiser[Any]]] = [
    Xavier, He, LeCun, Orthogonal, DeltaOrthogonal, TruncatedNormal,
]  # fmt: skip
INPUTS, CLASSES = 4000, 10


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(60, INPUTS), nn.ReLU(), nn.Linear(INPUTS, CLASSES))


def _initialised(cls: type[Initialiser[Any]], head: str) -> tuple[nn.Sequential, Any]:
    network = _network()
    coverage = initialise(network, cls(cls.Config(head=head)))
    return network, coverage


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize(
    ("head", "variance"),
    [
        ("he", 2 / INPUTS),
        ("xavier", 2 / (INPUTS + CLASSES)),
        ("default", 1 / (3 * INPUTS)),
    ],
)
def test_every_method_can_have_the_same_head(
    cls: type[Initialiser[Any]], head: str, variance: float
) -> None:
    network, coverage = _initialised(cls, head)
    weight = network[2].weight.detach()
    assert weight.var().item() == pytest.approx(variance, rel=0.05)
    if head == "default":
        assert weight.abs().max() <= 1 / math.sqrt(INPUTS)
    assert coverage.entries["2.weight"].reason == f"head rule: {head}"


@pytest.mark.parametrize("cls", METHODS)
def test_a_head_rule_changes_the_head_alone(cls: type[Initialiser[Any]]) -> None:
    own, _ = _initialised(cls, "own")
    ruled, _ = _initialised(cls, "he")
    assert torch.equal(own[0].weight, ruled[0].weight)
    assert not torch.equal(own[2].weight, ruled[2].weight)
