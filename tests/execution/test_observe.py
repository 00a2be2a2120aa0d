"""Looking at trials of the store: a probe gets their networks, and what it does wrong is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.api import (
    Config,
    Observation,
    Population,
    PopulationMeasure,
    PopulationValue,
    Probe,
    Record,
    Subject,
)
from initbench.data.identify import identify
from initbench.execution.events import Broken, Event, Finished, Outcome
from initbench.execution.jobs import Job, ObserveJob, jobs_of
from initbench.execution.observe import StoredPopulation
from initbench.execution.run import forget_failed, pending
from initbench.execution.workspace import Workspace
from initbench.models.digest import combined_digest, weight_digests
from initbench.plugin.discovery import Entry, discover
from initbench.plugin.registry import Registry
from initbench.store.artifact import StoredArtifact
from initbench.store.identity import digest
from initbench.store.record import TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.plan import Plan
from tests.execution.performing import perform_and_adopt

SUITE = """\
title: A suite
question: Which?
models: [zoo_cnn]
datasets: [digits]
initialisers: [default, {name: lecun, label: other}]
recipe: {optimiser: {name: sgd, lr: RATE}, epochs: 1, batch_size: 300}
seeds: 2
measures: [MEASURE]
comparisons: {reference: default}
"""


@dataclass(frozen=True)
class Look(Probe):
    """Says what it was given."""

    name = "look"
    scope = "cell"

    mood: str = "fine"

    def observe(self, population: Population) -> Observation:
        match self.mood:
            case "raises":
                raise ZeroDivisionError("cannot look")
            case "exits":
                raise SystemExit(3)
            case "out_of_memory":
                raise MemoryError("all gone")
        data = population.data
        return Observation(
            {"mean": data.mean.flatten(), "seeds": torch.tensor(_seeds(population))},
            {
                "initial": [_digest(s, "initial") for s in population.subjects],
                "last": [_digest(s, "last") for s in population.subjects],
                "statuses": [s.record.status.value for s in population.subjects],
                "images": len(data.test),
                "parts": list(population.parts),
                "zoo": population.zoo() is not None,
            },
        )


def _seeds(population: Population) -> list[int]:
    return [subject.seed for subject in population.subjects]


def _digest(subject: Subject, checkpoint: Any) -> str | None:
    network = subject.network(checkpoint)
    if network is None:
        return None
    assert not network.training
    return combined_digest(weight_digests(network))


class LookConfig(Config):
    mood: str = "fine"


class Looking(PopulationMeasure[LookConfig]):
    """A test."""

    version = "1"
    name = "looking"
    summary = "a test"
    unit = "fraction"
    direction = "higher"
    Config = LookConfig

    def probe(self) -> Look:
        return Look(self.config.mood)

    def of_cell(
        self, observation: Observation, records: Mapping[int, Record]
    ) -> PopulationValue | None:
        return None


class World:
    """A results folder in which jobs are performed in this process."""

    def __init__(self, folder: Path, writer: StoreWriter) -> None:
        self.folder = folder
        self.writer = writer
        entry = Entry("measure", "looking", "test-looks", "1.0", f"{__name__}:Looking")
        self.registry = Registry([*discover(), entry])
        spool = Spool(writer.paths.spool / "test")
        self.workspace = Workspace(self.registry, writer, spool, "cpu", None)

    def plan(self, mood: str = "fine", rate: str = "0.05") -> Plan:
        path = self.folder / "suite.yaml"
        measure = f"{{name: looking, mood: {mood}}}"
        path.write_text(SUITE.replace("MEASURE", measure).replace("RATE", rate))
        return expand(load_suite(path), self.registry, lambda d, r: identify(d, r.tree(), None))

    def perform(self, job: Job) -> list[Event]:
        return perform_and_adopt(job, self.workspace, self.writer)

    def look(self, mood: str = "fine", rate: str = "0.05") -> tuple[list[Event], ObserveJob]:
        """Perform what a plan lacks, until after its first look."""
        for job in jobs_of(pending(self.plan(mood, rate), self.writer), {}):
            events = self.perform(job)
            if isinstance(job, ObserveJob):
                return events, job
        raise AssertionError("nothing to look at")

    def seen(self, job: ObserveJob) -> StoredArtifact:
        stored = self.writer.artifact(job.id)
        assert stored is not None
        return stored


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with Store(tmp_path / "results").lock("a test") as writer:
        yield World(tmp_path, writer)
    torch.set_num_threads(threads)


def test_a_probe_sees_the_networks_and_images_of_the_trials(world: World) -> None:
    events, job = world.look()
    assert [type(event) for event in events] == [Outcome, Finished]
    stored = world.seen(job)
    assert stored.status is TrialStatus.DONE
    records = [world.writer.record(key) for key in job.observing.trials]
    starts = [r.streams.initial_weights for r in records if r is not None and r.streams]
    assert stored.description["initial"] == starts
    assert len(set(stored.description["last"]) | set(starts)) == 4
    assert stored.description["statuses"] == ["done", "done"]
    assert stored.description["images"] == 300
    assert stored.description["parts"] == []
    assert stored.description["zoo"] is False
    assert world.writer.tensors(stored)["seeds"].tolist() == [0, 1]


def test_what_was_seen_is_not_looked_at_again(world: World) -> None:
    world.look()
    left = pending(world.plan(), world.writer)
    assert len(left.observations) == 1  # that of the other initialiser
    for job in jobs_of(left, {}):
        world.perform(job)
    assert not pending(world.plan(), world.writer).observations


@pytest.mark.parametrize(
    ("mood", "message"), [("raises", "ZeroDivisionError: cannot look"), ("exits", "SystemExit")]
)
def test_what_a_probe_does_wrong_is_a_failed_observation_until_it_is_retried(
    world: World, mood: str, message: str
) -> None:
    events, job = world.look(mood)
    assert isinstance(events[-1], Finished)
    stored = world.seen(job)
    assert stored.status is TrialStatus.FAILED
    assert stored.failure is not None
    assert message in stored.failure.message
    assert str(world.folder) not in stored.failure.log
    plan = world.plan(mood)
    assert job.id not in pending(plan, world.writer).observations
    forget_failed(plan, world.writer)
    left = pending(plan, world.writer)
    assert job.id in left.observations
    assert set(left.trials).isdisjoint(job.observing.trials)


def test_running_out_of_memory_leaves_no_observation(world: World) -> None:
    events, job = world.look("out_of_memory")
    (event,) = events
    assert isinstance(event, Broken)
    assert event.why == "lost"
    assert world.writer.artifact(job.id) is None


def test_trials_that_diverged_have_a_start_but_no_trained_network(world: World) -> None:
    _, job = world.look(rate="1e30, weight_decay: 1e30")
    stored = world.seen(job)
    assert stored.description["statuses"] == ["diverged", "diverged"]
    assert stored.description["last"] == [None, None]
    assert None not in stored.description["initial"]


def test_other_images_are_normalised_as_in_training(world: World) -> None:
    _, job = world.look()
    own = world.writer.artifact(job.observing.trained_on)
    assert own is not None
    identity = {**own.identity, "data": "with another mean"}
    other = own.model_copy(
        update={
            "key": digest(identity),
            "identity": identity,
            "description": {**own.description, "mean": [0.25]},
        }
    )
    world.writer.adopt(world.workspace.spool.put_artifact(other, world.writer.tensors(own)))
    population = StoredPopulation(replace(job.observing, trained_on=other.key), world.workspace)
    assert population.data.mean.item() == 0.25
    assert torch.equal(population.data.test.images, world.writer.tensors(own)["test.images"])


def test_a_probe_that_changed_after_planning_is_not_used(world: World) -> None:
    _, job = world.look()
    changed = ObserveJob(replace(job.observing, probe={**job.observing.probe, "version": "2"}))
    events = world.perform(changed)
    assert isinstance(events[-1], Finished)
    stored = world.seen(changed)
    assert stored.failure is not None
    assert "start the run again" in stored.failure.message
