"""The page that an author reads: its example works, and nothing is missing from the names."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
import torch
from torch import nn

import initbench
from initbench import api
from initbench.plugin.registry import Registry
from tests.plugin.worlds import World, world

__all__ = ["world"]


@pytest.fixture
def example() -> tuple[str, str]:
    """The module and the project file in the documentation of `initbench.api`."""
    assert api.__doc__
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", api.__doc__, flags=re.MULTILINE)
    code = [dedent(block).strip() for block in blocks if block.strip()]
    assert len(code) == 2
    return code[0], code[1]


def test_the_documented_plugin_works_as_it_stands(world: World, example: tuple[str, str]) -> None:
    module, project = example
    (point,) = re.findall(r'^"(.+)" = "(.+)"$', project, flags=re.MULTILINE)
    world.install("initbench-small", dict([point]), {"initbench_small.py": module})
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 10))
    coverage = initbench.initialise(net, "small", seed=1, std=0.2)
    assert coverage.share(api.Treatment.UNTOUCHED) == 0.0
    assert net[3].weight.std().item() == pytest.approx(0.2, rel=0.05)
    assert torch.count_nonzero(net[3].bias) == 0
    reference = Registry.installed().initialiser("small").reference
    assert reference.tree()["code"] == {"distribution": "initbench-small", "version": "1"}


def test_all_names_exist_and_are_sorted() -> None:
    assert api.__all__ == sorted(api.__all__, key=lambda name: (not name.isupper(), name))
    for name in api.__all__:
        assert getattr(api, name) is not None
