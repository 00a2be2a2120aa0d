"""What `fit` ignores is in no key of a fit: variants and targets share what was learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from initbench.api import (
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    Scope,
    Source,
    Target,
    ZooSource,
)
from initbench.data.identify import identify
from initbench.errors import PluginError
from initbench.plugin.discovery import Entry, discover
from initbench.plugin.registry import Registry
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.plan import Plan

SUITE = """\
title: A suite
question: Which?
models: [zoo_cnn]
datasets:
  - {name: digits, label: all}
  - {name: digits, label: some, subset: {train: 100}, recipe: {epochs: 2}}
initialisers:
  - {name: NAME, label: first}
  - {name: NAME, label: second, drawn: 2}
  - {name: NAME, label: third, learnt: 2}
recipe: digits_quick
seeds: 2
measures: [test_accuracy]
comparisons: {reference: first}
"""


class DrawConfig(Config):
    learnt: int = 1
    drawn: int = 1


class Sharing(Initialiser[DrawConfig]):
    name = "sharing"
    scope = Scope.GLOBAL
    summary = "a test"
    citation = Citation("Nobody, 2026")
    version = "1"
    Config = DrawConfig

    def sources(self, target: Target) -> tuple[Source, ...]:
        zoo = {"count": 3, "dataset": "digits", "recipe": "digits_quick"}
        return (ZooSource(**zoo),)  # type: ignore[arg-type]

    def fit_config(self) -> DrawConfig:
        return self.config.model_copy(update={"drawn": 1})

    def initialise(self, network: Any, job: Initialisation) -> CoverageMap:
        raise AssertionError("expansion initialises nothing")


class SharingTargets(Sharing):
    name = "sharing_targets"
    fits_zoo_only: ClassVar[bool] = True


class Raising(Sharing):
    name = "raising"

    def fit_config(self) -> DrawConfig:
        raise ZeroDivisionError


def plan_of(folder: Path, name: str) -> Plan:
    path = folder / "suite.yaml"
    path.write_text(SUITE.replace("NAME", name))
    entries = [
        Entry("initialiser", c.name, "test-sharing", "1.0", f"{__name__}:{c.__name__}")
        for c in (Sharing, SharingTargets, Raising)
    ]
    return expand(
        load_suite(path),
        Registry([*discover(), *entries]),
        lambda dataset, reference: identify(dataset, reference.tree(), None),
    )


def artifacts(plan: Plan, dataset_size: int) -> dict[str, str | None]:
    """Artifact by configuration, of the trials on data of so many training images."""
    return {
        str(trial.initialiser.config): trial.artifact
        for trial in plan.trials.values()
        if (trial.recipe["epochs"] == 2) == (dataset_size == 100)
    }


def test_variants_that_differ_in_what_fit_ignores_share_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "sharing")
    assert len(plan.fittings) == 4  # for each of two targets: learnt 1, and learnt 2
    assert len(plan.trials) == 12, "they are trials of their own"
    assert len(plan.zoo_trials) == 3
    assert {fitting.initialiser.config["drawn"] for fitting in plan.fittings.values()} == {1}
    found = artifacts(plan, 100)
    assert len(found) == 3
    assert len(set(found.values())) == 2


def test_targets_share_a_fit_that_looks_at_the_zoo_only(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "sharing_targets")
    assert len(plan.fittings) == 2
    for fitting in plan.fittings.values():
        zoo = plan.zoo_trials[fitting.zoo_trials[0]]
        assert (fitting.model, fitting.data, fitting.recipe) == (zoo.model, zoo.data, zoo.recipe)
    assert artifacts(plan, 100) == artifacts(plan, 1000)


def test_a_configuration_that_cannot_be_had_is_the_plugins_fault(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="`fit_config` of `raising`"):
        plan_of(tmp_path, "raising")
