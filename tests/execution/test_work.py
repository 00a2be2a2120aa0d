"""Performing jobs: what plugins and models do wrong becomes a record, never a dead worker."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.api import (
    Artifact,
    Citation,
    Config,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    Model,
    Scope,
    Source,
    Target,
    UserError,
    ZooSource,
)
from initbench.data.identify import identify
from initbench.execution.events import Broken, Event, Finished, Outcome, Progress
from initbench.execution.jobs import DataJob, Job, TrainJob, jobs_of
from initbench.execution.run import forget_failed, pending
from initbench.execution.worker import perform_and_tell
from initbench.execution.workspace import CHECKPOINT_VARIABLE, Workspace, checkpoint_seconds
from initbench.plugin.discovery import Entry, discover
from initbench.plugin.registry import Registry
from initbench.store.record import Record, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.plan import Plan
from tests.execution.performing import perform_and_adopt

SUITE = """\
title: A suite
question: Which?
models: [{model}]
datasets: [digits]
initialisers: [{initialiser}]
recipe:
  {{optimiser: {{name: sgd, lr: 0.05}}, epochs: 1, batch_size: 300, evaluation: {{layers: true}}}}
seeds: 1
measures: [test_accuracy]
comparisons: {{reference: {initialiser}}}
"""


class Faulty(Initialiser[Config]):
    """Does what its name says."""

    scope = Scope.POINTWISE
    summary = "a test"
    citation = Citation("Nobody, 2026")
    version = "1"

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        match self.name:
            case "raises":
                raise ZeroDivisionError("divided by nothing")
            case "exits":
                raise SystemExit(3)
            case "complains":
                raise UserError("not with me")
            case "out_of_memory":
                raise MemoryError("all gone")
        coverage = CoverageMap.of(network)
        if self.name == "lies":
            for name, parameter in network.named_parameters():
                torch.nn.init.zeros_(parameter)
                coverage.untouched(name, "so it says")
        coverage.untouched_rest("left alone")
        return coverage


class Raises(Faulty):
    name = "raises"


class Exits(Faulty):
    name = "exits"


class Complains(Faulty):
    name = "complains"


class OutOfMemory(Faulty):
    name = "out_of_memory"


class Lies(Faulty):
    name = "lies"


class Leaves(Faulty):
    name = "leaves"


class UnfitLearner(Faulty):
    name = "unfit_learner"

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (ZooSource(count=1),)

    def fit(self, inputs: FitInputs) -> Artifact:
        raise SystemExit("I cannot learn")


class Moody(torch.nn.Sequential):
    def forward(self, images: torch.Tensor) -> Any:
        if self.training and images.shape[0] > 1:
            raise RuntimeError("not in the mood")
        return super().forward(images)


class MoodyModel(Model[Config]):
    name = "moody"
    summary = "a network that raises while it trains"
    citation = Citation("Nobody, 2026")
    licence = "none"
    version = "1"

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        inputs = channels * image_size * image_size
        return Moody(torch.nn.Flatten(), torch.nn.Linear(inputs, classes))


THINGS = [Raises, Exits, Complains, OutOfMemory, Lies, Leaves, UnfitLearner]


def registry() -> Registry:
    found = [Entry("model", "moody", "test-faults", "1.0", f"{__name__}:MoodyModel")]
    found += [
        Entry("initialiser", c.name, "test-faults", "1.0", f"{__name__}:{c.__name__}")
        for c in THINGS
    ]
    return Registry([*discover(), *found])


class World:
    """A results folder, with the data prepared, in which jobs are performed in this process."""

    def __init__(self, folder: Path, writer: StoreWriter) -> None:
        self.folder = folder
        self.writer = writer
        self.registry = registry()
        self.workspace = Workspace(
            self.registry, writer, Spool(writer.paths.spool / "test"), "cpu", None
        )

    def plan(self, initialiser: str, model: str = "zoo_cnn") -> Plan:
        path = self.folder / "suite.yaml"
        path.write_text(SUITE.format(initialiser=initialiser, model=model))
        return expand(load_suite(path), self.registry, lambda d, r: identify(d, r.tree(), None))

    def perform(self, job: Job) -> list[Event]:
        return perform_and_adopt(job, self.workspace, self.writer)

    def train(self, initialiser: str, model: str = "zoo_cnn") -> tuple[list[Event], Record | None]:
        plan = self.plan(initialiser, model)
        *before, job = jobs_of(plan, {})
        for other in before:
            if isinstance(other, DataJob) and self.writer.artifact(other.id) is not None:
                continue
            self.perform(other)
        assert isinstance(job, TrainJob)
        return self.perform(job), self.writer.record(job.id)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with Store(folder / "results").lock("a test") as writer:
        yield World(folder, writer)
    torch.set_num_threads(threads)


def test_a_trial_tells_its_progress_and_leaves_a_record(world: World) -> None:
    events, record = world.train("he")
    assert [type(event) for event in events] == [Progress, Progress, Outcome, Finished]
    assert record is not None
    assert record.status is TrialStatus.DONE
    assert record.streams is not None
    assert {row.treatment for row in record.coverage} == {"generated", "rule"}
    assert sum(row.elements for row in record.coverage) == 2464
    assert record.cost.images_seen == 1197
    assert record.initialise_cost is not None
    assert 0 < record.initialise_cost.wall_seconds < 60
    assert record.initialise_cost.steps == 0
    assert record.layers is not None
    assert record.layers.layers == ["conv1", "conv2", "conv3", "linear1", "linear2"]
    assert record.layers.steps == record.curves["validation_loss"].steps
    weights = world.writer.weights(record, "best")
    assert set(weights) == {row.parameter for row in record.coverage}


@pytest.mark.parametrize(
    ("initialiser", "message"),
    [
        ("raises", "ZeroDivisionError: divided by nothing"),
        ("exits", "SystemExit"),
        ("complains", "not with me"),
        ("lies", "untouched"),
    ],
)
def test_what_an_initialiser_does_wrong_is_a_failed_record(
    world: World, initialiser: str, message: str
) -> None:
    events, record = world.train(initialiser)
    assert isinstance(events[-1], Finished)
    assert record is not None
    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert message in record.failure.message
    assert record.classes == 10
    assert record.budget_steps == 4


def test_a_model_that_raises_while_it_trains_is_a_failed_record(world: World) -> None:
    events, record = world.train("leaves", model="moody")
    assert isinstance(events[-1], Finished)
    assert record is not None
    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert "not in the mood" in record.failure.message
    assert str(world.folder) not in record.failure.log


def test_running_out_of_memory_is_lost_and_not_a_fault_of_the_plugin(world: World) -> None:
    events, record = world.train("out_of_memory")
    assert record is None
    assert isinstance(events[-1], Broken)
    assert events[-1].why == "lost"
    assert "all gone" in events[-1].message


def test_a_fit_that_fails_fails_the_trials_that_need_it(world: World) -> None:
    _, record = world.train("unfit_learner")
    assert record is not None
    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert "I cannot learn" in record.failure.message
    artifact = world.writer.artifact(record.identity["initialiser"]["artifact"])
    assert artifact is not None
    assert artifact.status is TrialStatus.FAILED
    plan = world.plan("unfit_learner")
    assert set(plan.manifest.zoos[artifact.key]) == set(plan.zoo_trials)


def test_retrying_what_failed_fits_again_before_it_trains_again(world: World) -> None:
    world.train("unfit_learner")
    plan = world.plan("unfit_learner")
    assert not pending(plan, world.writer).all_trials
    forget_failed(plan, world.writer)
    left = pending(plan, world.writer)
    assert set(left.trials) == set(plan.trials)
    assert set(left.fittings) == set(plan.fittings)
    assert not left.zoo_trials  # these did not fail


def test_a_plugin_that_changed_after_planning_ends_the_run(world: World) -> None:
    job = jobs_of(world.plan("he"), {})[-1]
    tree = job.tree()
    tree["trials"][0]["initialiser"]["code"]["version"] = "another"
    events: list[Event] = []
    perform_and_tell(json.dumps(tree), world.workspace, events.append)
    (event,) = events
    assert isinstance(event, Broken)
    assert event.why == "wrong input"
    assert "start the run again" in event.message


@pytest.mark.parametrize("value", ["often", "-1", "nan", "6 0"])
def test_a_time_between_checkpoints_that_is_none_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, value)
    events, record = world.train("lecun")
    assert record is None
    assert isinstance(events[-1], Broken)
    assert events[-1].why == "wrong input"
    assert f"INITBENCH_CHECKPOINT_SECONDS is `{value}`" in events[-1].message


def test_the_time_between_checkpoints_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_seconds() == 60
    for value, seconds in (("", 60), ("0", 0), ("7.5", 7.5), ("inf", math.inf)):
        monkeypatch.setenv(CHECKPOINT_VARIABLE, value)
        assert checkpoint_seconds() == seconds
