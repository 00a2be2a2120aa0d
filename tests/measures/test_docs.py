"""docs/measures.md says what the code does."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import initbench.api
from initbench.plugin.builtin import BUILTIN
from initbench.plugin.hooks import Kind
from initbench.plugin.registry import Registry
from initbench.probes.probe import Probe
from initbench.suite.yaml_reader import read_document
from tests.factories import record
from tests.probes.looking import alone
from tests.training.networks import network

TEXT = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
TABLE = {
    name: (unit, direction)
    for name, unit, direction in re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| (\w+) \|", TEXT.partition("\n## ")[0], re.M
    )
}
NEEDED = {"steps_to_threshold": {"threshold": 0.9}}


def test_every_measure_is_in_the_table() -> None:
    assert set(TABLE) == set(BUILTIN[Kind.MEASURE])


@pytest.mark.parametrize("name", sorted(BUILTIN[Kind.MEASURE]))
def test_units_and_directions_are_those_of_the_code(name: str) -> None:
    measure = Registry.installed().measure(name, NEEDED.get(name, {})).thing
    assert TABLE[name] == (measure.unit, measure.direction)


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.S))
def test_examples_of_suites_are_valid(example: str) -> None:
    labels = []
    for choice in read_document(example, "docs").plain()["measures"]:
        config = {} if isinstance(choice, str) else dict(choice)
        name = choice if isinstance(choice, str) else config.pop("name")
        labels.append(Registry.installed().measure(name, config).thing.label())
    assert len(set(labels)) == len(labels) > 1


def test_examples_of_code_work() -> None:
    names = {name: getattr(initbench.api, name) for name in initbench.api.__all__}
    world = {**names, "math": math, "torch": torch, "dataclass": dataclass}
    for example in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(compile(f"from __future__ import annotations\n{example}", "docs", "exec"), world)
    loss = world["TestLoss"](initbench.api.Config())
    assert loss.of_record(record()) == 0.4
    assert loss.worst(record()) == math.log(10)
    measure = world["NearlyZero"](initbench.api.Config())
    probe = measure.probe()
    assert isinstance(probe, Probe)
    assert probe.tree()["settings"] == {"below": 1e-3}
    net = network()
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    share = 40 / sum(p.numel() for p in net.parameters())
    seen = probe.observe(alone(last=net))
    assert measure.of_observation(seen, record()) == pytest.approx(share, abs=0.05)
    assert measure.of_observation(probe.observe(alone()), record()) is None
