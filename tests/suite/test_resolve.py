"""Names and configurations of a suite against what is installed."""

from __future__ import annotations

import pytest

from initbench.plugin.registry import Registry
from initbench.suite.load import load_suite
from initbench.suite.resolve import complaints
from tests.suite.worlds import edited, load


@pytest.mark.parametrize(
    ("old", "new", "start", "parts"),
    [
        ("[zoo_cnn]", "[zoo_cn]", "suite.yaml:3:10: ", ["model `zoo_cn`", "`zoo_cnn`"]),
        ("[digits]", "[digit]", "suite.yaml:4:12: ", ["dataset `digit`", "`digits`"]),
        ("  - he\n", "  - hee\n", "suite.yaml:8:5: ", ["initialiser `hee`", "`he`"]),
        ("fan_out", "fan_oot", "suite.yaml:7:22: `initialisers[1].mode`: ", ["`fan_out`"]),
        ("mode:", "mood:", "suite.yaml:7:16: `initialisers[1].mood`: ", ["`mode`"]),
        ("digits_quick", "digits_quik", "suite.yaml:9:9: ", ["`digits_quik`", "`digits_quick`"]),
        ("epochs: 5", "optimiser: {lr: a}", "suite.yaml:9:46: `recipe.optimiser.lr`: ", ['"a"']),
        ("measures: [test", "measures: [tset", "suite.yaml:11:12: ", ["`test_accuracy`"]),
    ],
)
def test_each_complaint_has_its_place(old: str, new: str, start: str, parts: list[str]) -> None:
    [complaint] = complaints(load(edited((old, new))), Registry.installed())
    assert complaint.startswith(start)
    for part in parts:
        assert part in complaint


def test_the_quickstart_names_only_what_is_installed() -> None:
    registry = Registry.installed()
    assert list(complaints(load_suite("quickstart"), registry)) == []
    assert list(complaints(load_suite("quickstart", profile="smoke"), registry)) == []


def test_the_quickstart_compares_every_initialiser_of_the_classical_plugin() -> None:
    entries = Registry.installed().entries("initialiser")
    classical = {e.name for e in entries if e.target.startswith("initbench_classical")}
    controls = {"uniform"}
    chosen = {choice.name for choice in load_suite("quickstart").suite.initialisers}
    assert chosen == classical - controls


def test_the_margins_of_the_quickstart_name_its_measures() -> None:
    suite = load_suite("quickstart").suite
    registry = Registry.installed()
    labels = [registry.measure(m.name, m.config).thing.label() for m in suite.measures]
    assert sorted(suite.comparisons.margins) == sorted(labels)
