"""A small zoo, and an initialiser that learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from initbench.api import (
    Artifact,
    Citation,
    Config,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    Scope,
    Source,
    Target,
    Zoo,
    ZooSource,
)
from initbench.cli import run_command
from initbench.data.identify import identify
from initbench.plugin.discovery import Entry, discover
from initbench.plugin.registry import Registry
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.plan import Plan

NETWORKS = 7
SUBSET = {"train": 100, "validation": 50, "test": 50}
OPTIONS = (
    *("zoo_cnn", "digits", "--recipe", "digits_quick", "--initialiser", "he"),
    *("--networks", str(NETWORKS), "--checkpoints", "0-2", "--set", "recipe.epochs=2"),
    *("--set", "dataset.subset={train: 100, validation: 50, test: 50}"),
)
SUITE = """\
title: A suite
question: Which?
models: [zoo_cnn]
datasets: [digits]
initialisers: [he, zoo_learner]
recipe: {name: digits_quick, epochs: 1}
seeds: 1
measures: [test_accuracy]
comparisons: {reference: he}
"""


class ZooLearner(Initialiser[Config]):
    """Takes the mean of the second to last kept weights."""

    name = "zoo_learner"
    scope = Scope.LOCAL
    summary = "a test"
    citation = Citation("Nobody, 2026")
    version = "1"

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (
            ZooSource(
                count=NETWORKS,
                dataset="digits",
                dataset_config={"subset": SUBSET},
                recipe={"name": "digits_quick", "epochs": 2},
                initialiser="he",
                checkpoints=range(3),
            ),
        )

    def fit(self, inputs: FitInputs) -> Artifact:
        (zoo,) = inputs.sources
        assert isinstance(zoo, Zoo)
        train, _, _ = zoo.split()
        states = [member.checkpoints[1].weights for member in train]
        means = {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}
        return Artifact(means, {"networks": len(train)})

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        assert job.artifact is not None
        coverage = CoverageMap.of(network)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(job.artifact.tensors[name])
                coverage.generated(name, "the mean of a zoo")
        return coverage


def registry() -> Registry:
    """Return what is installed, and the learner."""
    learner = Entry("initialiser", "zoo_learner", "test-zoos", "1.0", f"{__name__}:ZooLearner")
    return Registry([*discover(), learner])


def identified(dataset: Any, reference: Any) -> Any:
    """Tell what images a data set has."""
    return identify(dataset, reference.tree(), None)


def suite_plan(folder: Path) -> Plan:
    """Return the plan of a suite whose learner needs the zoo of `OPTIONS`."""
    path = folder / "suite.yaml"
    path.write_text(SUITE)
    return expand(load_suite(path), registry(), identified)


def train(results: Path, *more: str) -> int:
    """Train the zoo, in this process; return the exit code."""
    options = ("--results", str(results), "--workers", "0", "--device", "cpu")
    return run_command(["zoo", "train", *OPTIONS, *options, *more])
