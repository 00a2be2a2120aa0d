"""Stacks of trials as jobs: what happens to one, or to the memory, changes no other's record."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.api import (
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    Model,
    Scope,
)
from initbench.data.identify import identify
from initbench.execution import training
from initbench.execution.events import Broken, Event, Finished, Outcome, Progress
from initbench.execution.jobs import DataJob, TrainJob, jobs_of
from initbench.execution.parallel import LostError
from initbench.execution.worker import perform_and_tell
from initbench.execution.workspace import CHECKPOINT_VARIABLE, Workspace
from initbench.plugin.discovery import Entry, discover
from initbench.plugin.registry import Registry
from initbench.store.record import Record, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.trial import Trial
from initbench.training import stacked_run
from initbench.training.outcome import Member, Trained

SUITE = """\
title: A stack
question: Which?
models: [{model}]
datasets: [digits]
initialisers: [{initialiser}]
recipe:
  optimiser: {{name: adam, lr: 0.01}}
  epochs: 2
  batch_size: {batch_size}
  evaluation: {{every: 2, unit: batch, kept_epochs: [0, 1]}}
seeds: {seeds}
measures: [test_accuracy]
comparisons: {{reference: {initialiser}}}
"""


class _Model(Model[Config]):
    summary = "a test"
    citation = Citation("Nobody, 2026")
    licence = "none"
    version = "1"

    def middle(self) -> torch.nn.Module:
        return torch.nn.Tanh()

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        size = image_size // 2
        return torch.nn.Sequential(
            torch.nn.Conv2d(channels, 4, 3, stride=2, padding=1),
            self.middle(),
            torch.nn.Flatten(),
            torch.nn.Linear(4 * size * size, classes),
        )


class Plain(_Model):
    name = "plain"


class Depends(_Model):
    name = "depends"

    class Middle(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    def middle(self) -> torch.nn.Module:
        return self.Middle()


class Draws(_Model):
    name = "draws"

    def middle(self) -> torch.nn.Module:
        return torch.nn.Dropout(0.2)


class Late(_Model):
    """Depends on its data only after what is tried before training."""

    name = "late"

    class Middle(torch.nn.Module):
        calls = 0

        def __deepcopy__(self, memo: Any) -> torch.nn.Module:
            return type(self)()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            type(self).calls += self.training
            return x if type(self).calls < 12 or x.sum() > 0 else -x

    def middle(self) -> torch.nn.Module:
        return self.Middle()


class Huge(Initialiser[Config]):
    """Lets the loss of every other network be NaN in its very first step."""

    name = "huge"
    scope = Scope.POINTWISE
    summary = "a test"
    citation = Citation("Nobody, 2026")
    version = "1"

    @torch.no_grad()
    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        coverage = CoverageMap.of(network)
        for name, parameter in network.named_parameters():
            odd = torch.rand((), generator=job.generator) < 0.5
            parameter.fill_(1e38 if odd and name == "3.weight" else 0.1)
            coverage.generated(name, "one number")
        return coverage


def _registry() -> Registry:
    things: list[tuple[str, type[Any]]] = [
        *(("model", model) for model in (Plain, Depends, Draws, Late)),
        ("initialiser", Huge),
    ]
    found = [
        Entry(kind, thing.name, "test-stacks", "1.0", f"{__name__}:{thing.__name__}")
        for kind, thing in things
    ]
    return Registry([*discover(), *found])


@dataclass
class Place:
    """A results folder in which one job of several trials is performed in this process."""

    folder: Path
    writer: StoreWriter
    devices: int = 1

    def trials(
        self, model: str = "plain", initialiser: str = "he", seeds: int = 4, batch_size: int = 200
    ) -> TrainJob:
        """Prepare the data, and return the job."""
        path = self.folder / "suite.yaml"
        path.write_text(
            SUITE.format(model=model, initialiser=initialiser, seeds=seeds, batch_size=batch_size)
        )
        registry = self.workspace.registry
        plan = expand(load_suite(path), registry, lambda d, r: identify(d, r.tree(), None))
        (data, job) = jobs_of(plan, {}, lambda _, count: count)
        assert isinstance(data, DataJob)
        assert isinstance(job, TrainJob)
        self.perform(data)
        return job

    @property
    def workspace(self) -> Workspace:
        spool = Spool(self.writer.paths.spool / "test")
        return Workspace(_registry(), self.writer, spool, "cpu", None, self.devices)

    def perform(
        self, job: DataJob | TrainJob, watch: Callable[[Event], None] = lambda _: None
    ) -> list[Event]:
        """Perform a job and adopt its outcomes; what `watch` raises for an event stops it."""
        events: list[Event] = []

        def emit(event: Event) -> None:
            watch(event)
            events.append(event)
            if isinstance(event, Outcome):
                self.writer.adopt(Path(event.path))

        perform_and_tell(json.dumps(job.tree()), self.workspace, emit)
        return events

    def records(self, job: TrainJob) -> list[Record | None]:
        return [self.writer.record(trial.key) for trial in job.trials]

    def checkpoints(self) -> list[Path]:
        return list(self.writer.paths.checkpoints.glob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with Store(tmp_path / "results").lock("a test") as writer:
        yield Place(tmp_path, writer)
    torch.set_num_threads(threads)


def _done(place: Place, job: TrainJob) -> list[Record]:
    records = [record for record in place.records(job) if record is not None]
    assert len(records) == len(job.trials)
    assert {record.status for record in records} == {TrialStatus.DONE}
    return records


def _numbers(record: Record) -> dict[str, Any]:
    free = {"cost", "initialise_cost", "attempts", "attempt_notes", "environment"}
    return record.model_dump(exclude=free) | {"steps": record.cost.steps}


def _again(place: Place, job: TrainJob) -> None:
    for trial in job.trials:
        place.writer.delete(trial.key)


def test_trials_of_a_job_are_a_stack(place: Place) -> None:
    job = place.trials()
    events = place.perform(job)
    assert isinstance(events[-1], Finished)
    records = _done(place, job)
    assert [record.cost.stack_size for record in records] == [4] * 4
    assert all(record.notes == [] and record.attempt_notes == [] for record in records)
    told = {event.trial for event in events if isinstance(event, Progress)}
    assert told == {trial.key for trial in job.trials}


# --- what cannot be stacked ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("depends", "its forward pass depends on the values of its input"),
        ("draws", "it draws random numbers while it trains"),
    ],
)
def test_a_model_that_cannot_be_stacked_is_trained_without_and_its_records_say_so(
    place: Place, model: str, reason: str
) -> None:
    job = place.trials(model, seeds=2)
    assert isinstance(place.perform(job)[-1], Finished)
    for record in _done(place, job):
        assert record.notes == [f"trained without a stack: {reason}"]
        assert record.cost.stack_size == 1


def test_a_stack_that_raises_later_is_trained_without(place: Place) -> None:
    job = place.trials("late", seeds=2)
    Late.Middle.calls = 0
    assert isinstance(place.perform(job)[-1], Finished)
    for record in _done(place, job):
        (note,) = record.notes
        assert note.startswith("trained without a stack: it raised RuntimeError: vmap")
        assert record.cost.stack_size == 1


# --- memory -------------------------------------------------------------------------------------


def _memory_for(most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let stacks of more than `most` run out of memory in their middle; return sizes tried."""
    tried: list[int] = []
    take_step = stacked_run.StackedRun.take_step

    def short(self: stacked_run.StackedRun, size: int) -> None:
        if self.step == 0:
            tried.append(self.stack_size)
        if self.step == 3 and self.stack_size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        take_step(self, size)

    monkeypatch.setattr(stacked_run.StackedRun, "take_step", short)
    return tried


@pytest.mark.parametrize(("most", "tried"), [(2, [6, 3, 2, 3, 2]), (3, [6, 3, 3])])
def test_what_does_not_fit_is_halved_and_ends_as_the_smaller_stacks(
    place: Place, monkeypatch: pytest.MonkeyPatch, most: int, tried: list[int]
) -> None:
    job = place.trials(seeds=6)
    parts = [job.trials[:3], job.trials[3:]]
    if most == 2:
        parts = [t for part in parts for t in (part[:1], part[1:])]
    for part in parts:
        place.perform(TrainJob(part, (1,) * len(part)))
    smaller = [_numbers(record) for record in _done(place, job)]
    _again(place, job)
    found = _memory_for(most, monkeypatch)
    assert isinstance(place.perform(job)[-1], Finished)
    assert found == tried
    records = _done(place, job)
    assert [_numbers(record) for record in records] == smaller
    assert {record.cost.stack_size for record in records} == {len(part) for part in parts}


def test_one_that_does_not_even_fit_alone_is_lost_and_takes_nobody_with_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.trials("draws", seeds=3)  # one after the other
    victim = job.trials[0].seed
    train = training._Training._trained

    def short(self: Any, starts: Any) -> list[Trained]:
        if starts[0].trial.seed == victim:
            raise torch.OutOfMemoryError("tried to allocate 3 GiB")
        return train(self, starts)

    monkeypatch.setattr(training._Training, "_trained", short)
    events = place.perform(job)
    assert isinstance(events[-1], Broken)
    assert (events[-1].why, events[-1].message) == (
        "lost",
        "out of memory: tried to allocate 3 GiB",
    )
    first, *others = place.records(job)
    assert first is None
    assert [other and other.status for other in others] == [TrialStatus.DONE] * 2


def test_memory_of_the_machine_counts_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    job = place.trials("draws", seeds=1)

    def greedy(*_: Any) -> Any:
        return torch.empty(2**60)

    monkeypatch.setattr(training._Training, "_trained", greedy)
    event = place.perform(job)[-1]
    assert isinstance(event, Broken)
    assert event.why == "lost"
    assert "out of memory" in event.message


def test_one_that_does_not_fit_while_it_is_initialised_takes_nobody_with_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.trials(seeds=3)
    start = training.started

    def short(trial: Trial, *rest: Any) -> Any:
        if trial is job.trials[1] or trial.seed == job.trials[1].seed:
            raise MemoryError("all gone")
        return start(trial, *rest)

    monkeypatch.setattr(training, "started", short)
    event = place.perform(job)[-1]
    assert isinstance(event, Broken)
    assert event.why == "lost"
    statuses = [record and record.status for record in place.records(job)]
    assert statuses == [TrialStatus.DONE, None, TrialStatus.DONE]


# --- several devices a trial --------------------------------------------------------------------


def test_trials_that_use_all_devices_go_one_after_another_and_harm_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from initbench.training.trainer import train

    place.devices = 2
    job = place.trials(seeds=4)

    def one_of_two_dies(
        trial: Trial, network: torch.nn.Module, workspace: Workspace, on_progress: Any
    ) -> Trained:
        assert workspace.devices == 2
        if trial.seed == job.trials[1].seed:
            raise LostError("rank 1 died")
        if trial.seed == job.trials[2].seed:
            raise ValueError("not today")
        from initbench.training.recipe import Recipe

        recipe = Recipe.model_validate(trial.recipe, strict=False)
        member = Member(network, trial.seed)
        data = workspace.on_device(trial.data)
        (trained,) = train([member], data, recipe, on_progress=lambda _, now: on_progress(now))
        return trained

    monkeypatch.setattr(training, "train_on_devices", one_of_two_dies)
    events = place.perform(job)
    assert isinstance(events[-1], Broken)
    assert (events[-1].why, events[-1].message) == ("lost", "rank 1 died")
    statuses = [record and record.status for record in place.records(job)]
    assert statuses == [TrialStatus.DONE, None, TrialStatus.FAILED, TrialStatus.DONE]
    told = [event.trial for event in events if isinstance(event, Progress)]
    keys = [trial.key for trial in job.trials]
    assert [key for i, key in enumerate(told) if i == 0 or told[i - 1] != key] == [keys[0], keys[3]]


# --- what is wrong from the start ---------------------------------------------------------------


def test_a_batch_larger_than_the_data_is_a_failed_record(place: Place) -> None:
    job = place.trials(seeds=2, batch_size=100_000)
    assert isinstance(place.perform(job)[-1], Finished)
    for record in place.records(job):
        assert record is not None
        assert record.status is TrialStatus.FAILED
        assert record.failure is not None
        assert record.failure.kind == "MisfitError"
        assert "`batch_size` is 100000" in record.failure.message
        assert "only 1197 images" in record.failure.message


def test_nan_at_step_0_is_a_record_and_the_rest_of_the_stack_goes_on(place: Place) -> None:
    job = place.trials(initialiser="huge", seeds=6)
    assert isinstance(place.perform(job)[-1], Finished)
    records = [record for record in place.records(job) if record is not None]
    assert {record.status for record in records} == {TrialStatus.DIVERGED, TrialStatus.DONE}
    for record in records:
        if record.status is TrialStatus.DIVERGED:
            assert record.failure is not None
            assert record.failure.message == "the training loss was not finite after 2 steps"
            assert record.cost.steps == 2
            assert record.curves["train_loss"].values == [None]
        else:
            assert record.cost.steps == 12
        assert record.cost.stack_size == 6


# --- checkpoints --------------------------------------------------------------------------------


class Killed(BaseException):
    """The worker's process is gone."""


def _kill_at(step: int) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if isinstance(event, Progress) and event.step == step:
            raise Killed

    return watch


def test_a_killed_stack_goes_on_to_the_same_bits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.trials()
    place.perform(job)
    undisturbed = [_numbers(record) for record in _done(place, job)]
    assert place.checkpoints() == [], "a stack of a second needs no checkpoint"
    _again(place, job)
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")
    with pytest.raises(Killed):
        place.perform(job, _kill_at(8))
    assert [path.stem for path in place.checkpoints()] == [job.trials[-1].key]
    assert isinstance(place.perform(job)[-1], Finished)
    records = _done(place, job)
    assert [record.attempt_notes for record in records] == [["continued from step 7"]] * 4
    assert [_numbers(record) for record in records] == undisturbed
    assert place.checkpoints() == []


def _rest(job: TrainJob, keep: Sequence[int]) -> TrainJob:
    return TrainJob(tuple(job.trials[i] for i in keep), (2,) * len(keep))


def test_killed_between_two_records_the_others_go_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.trials()
    outcomes = 0

    def kill(event: Event) -> None:
        nonlocal outcomes
        outcomes += isinstance(event, Outcome)
        if outcomes == 3:
            raise Killed

    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")
    with pytest.raises(Killed):
        place.perform(job, kill)
    assert [record is not None for record in place.records(job)] == [True, True, False, False]
    place.perform(_rest(job, [2, 3]))
    for record in _done(place, job)[2:]:
        assert record.attempt_notes == ["continued from step 12 of a stack of 4"]
    assert place.checkpoints() == []


def test_with_other_neighbours_it_starts_anew_and_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.trials()
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")
    with pytest.raises(Killed):
        place.perform(_rest(job, [1, 3]), _kill_at(8))
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "")
    place.perform(copy.copy(job))
    for record in _done(place, job):
        (note,) = record.attempt_notes
        assert "it is one of another stack, without 2 of these trials" in note
    assert place.checkpoints() == []
