"""Calibration picks the faster way once, and stacks keep every trial what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.data.identify import identify
from initbench.execution import calibration, estimate, speeds
from initbench.execution.calibration import (
    CPU_STACKS,
    MANY,
    MOST_STACKED,
    Calibration,
    fitting_stack,
    largest_stack,
    measured,
    verdict,
)
from initbench.execution.devices import Slot
from initbench.execution.events import Event, Outcome
from initbench.execution.jobs import DataJob, TrainJob, jobs_of, stacks_of
from initbench.execution.run import Resources
from initbench.execution.speeds import Kind, Speeds
from initbench.execution.worker import perform_and_tell
from initbench.execution.workspace import Workspace
from initbench.plugin.registry import Registry
from initbench.store.record import Record, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.plan import Plan
from initbench.suite.trial import Trial
from initbench.training.estimate import DataShape
from initbench.training.outcome import Member
from initbench.training.stacked_run import train_stack
from tests.suite.test_trial import a_trial
from tests.training.networks import data, network, recipe

SUITE = """\
title: A suite
question: Which?
models: [{model}]
datasets: [digits]
initialisers: [he, xavier]
recipe: {{optimiser: {{name: sgd, lr: 0.05}}, epochs: 2, batch_size: 300}}
seeds: 3
measures: [test_accuracy]
comparisons: {{reference: he}}
"""
KIND = Kind({"name": "net"}, 1, 28, 10, batch_size=10, precision="float32")
SHAPE = DataShape(train=100, validation=20, test=20, channels=1, image_size=12, classes=3)
TWO_WORKERS = Resources([Slot("cpu", {})] * 2, "cpu", None, stack=True)
GPU = Resources([Slot("cuda", {})] * 2, "cuda", None)


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plan_of(folder: Path, model: str = "zoo_cnn") -> Plan:
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(model=model))
    registry = Registry.installed()
    return expand(load_suite(path), registry, lambda d, r: identify(d, r.tree(), None))


# --- the choice ---------------------------------------------------------------------------------


def test_a_stack_is_used_where_it_is_worth_it() -> None:
    assert verdict({1: 1.0}) == 1
    assert verdict({1: 1.0, 25: 0.5}) == 25
    assert verdict({1: 1.0, 25: 0.9}) == 1
    assert verdict({1: 1.0, 5: 0.6, 25: 0.5, 100: 0.7}) == 25


def test_a_kind_is_measured_once_on_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fake(*_: object) -> dict[int, float]:
        calls.append(1)
        return {1: 0.01, 25: 0.001}

    monkeypatch.setattr(calibration, "measured", fake)
    plan, registry = plan_of(tmp_path), Registry.installed()
    trial = next(iter(plan.trials.values()))
    for _ in range(2):
        chosen = Calibration(plan, registry, TWO_WORKERS)
        assert chosen.stack_size(trial, 1000) == 25
        assert chosen.stack_size(trial, 6) == 3  # work for both workers
        assert chosen.stack_size(trial, 1) == 1
    assert len(calls) == 1


def test_a_few_trials_are_not_stacked_on_a_cpu_unless_a_run_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "measured", lambda *_: {1: 0.01, 25: 0.001})
    plan, registry = plan_of(tmp_path), Registry.installed()
    trial = next(iter(plan.trials.values()))
    sizes = {
        asked: [
            Calibration(plan, registry, replace(TWO_WORKERS, stack=asked)).stack_size(trial, n)
            for n in (MANY - 2, MANY)
        ]
        for asked in (None, True, False)
    }
    assert sizes == {None: [1, MANY // 2], True: [MANY // 2 - 1, MANY // 2], False: [1, 1]}


def test_a_benchmark_of_the_same_kind_needs_no_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "measured", None)
    plan, registry = plan_of(tmp_path), Registry.installed()
    trial = next(iter(plan.trials.values()))
    chosen = Calibration(plan, registry, TWO_WORKERS)
    kind, _, _ = chosen._described(trial)
    Speeds("cpu").put(kind, {1: 0.01, 5: 0.002})
    assert chosen.stack_size(trial, 1000) == 5


def test_what_cannot_be_calibrated_is_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> dict[int, float]:
        raise ZeroDivisionError

    monkeypatch.setattr(calibration, "measured", broken)
    plan = plan_of(tmp_path)
    chosen = Calibration(plan, Registry.installed(), TWO_WORKERS)
    assert chosen.stack_size(next(iter(plan.trials.values())), 1000) == 1


def test_a_trial_on_several_devices_is_alone(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    chosen = Calibration(plan, Registry.installed(), replace(GPU, devices_per_trial=2))
    assert chosen.stack_size(next(iter(plan.trials.values())), 1000) == 1


def test_a_gpu_is_given_as_many_as_leave_work_for_all(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    trial = next(iter(plan.trials.values()))
    chosen = Calibration(plan, Registry.installed(), GPU)
    assert chosen.stack_size(trial, 25) == 13
    assert chosen.stack_size(trial, 5000) == MOST_STACKED


def test_a_small_network_is_measured_alone_and_in_a_stack(one_thread: None) -> None:
    shape = SHAPE
    seconds = measured(network(size=12), shape, recipe(batch_size=8))
    assert set(seconds) == {1, *CPU_STACKS}
    assert all(0 < each < 1 for each in seconds.values())


def test_a_network_that_cannot_be_stacked_is_as_fast_in_one_as_alone(one_thread: None) -> None:
    drawing = network(0, torch.nn.Dropout(), size=12)
    seconds = measured(drawing, SHAPE, recipe(batch_size=8))
    assert all(seconds[size] == seconds[1] for size in CPU_STACKS)


def test_a_large_network_is_not_tried_in_a_stack(
    monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setattr(calibration, "_SLOW_SECONDS", 0.0)
    assert set(measured(network(size=12), SHAPE, recipe(batch_size=8))) == {1}


def test_a_run_says_what_was_chosen_and_by_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "measured", lambda *_: {1: 0.01, 25: 0.004})
    plan, registry = plan_of(tmp_path), Registry.installed()
    trials = plan.trials.values()
    (choice,) = Calibration(plan, registry, TWO_WORKERS).choices(trials)
    assert str(choice) == (
        "zoo_cnn on digits, batches of 300: in stacks of 3; "
        "a stack of 25 was 2.50 times as fast as one by one"
    )
    alone = replace(TWO_WORKERS, stack=False)
    assert Calibration(plan, registry, alone).choices(trials) == []


@pytest.mark.parametrize("changed", ["torch", "cpu", "initbench"])
def test_what_was_measured_counts_for_this_machine_and_this_torch_only(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = speeds.environment()
    Speeds("cpu").put(KIND, {1: 0.5})
    assert Speeds("cpu").get(KIND) == {1: 0.5}
    monkeypatch.setattr(speeds, "environment", lambda: now | {changed: "another"})
    assert Speeds("cpu").get(KIND) == {}
    model = {"name": "net", "version": "2"}
    monkeypatch.undo()
    assert Speeds("cpu").get(replace(KIND, model=model)) == {}


def test_an_estimate_says_what_it_is_made_from(tmp_path: Path, one_thread: None) -> None:
    plan, registry = plan_of(tmp_path), Registry.installed()
    store = Store(tmp_path / "results")
    resources = replace(TWO_WORKERS, stack=False)
    guess = estimate.estimated(plan, plan, store, registry, resources)
    assert guess.sources == (estimate.STEPS,)
    assert guess.seconds is not None
    trial = next(iter(plan.trials.values()))
    kind, _, _ = Calibration(plan, registry, resources)._described(trial)
    Speeds("cpu").put(kind, {1: 1000.0})
    slower = estimate.estimated(plan, plan, store, registry, resources)
    assert slower.sources == (estimate.SPEEDS,)
    assert slower.seconds is not None
    assert slower.seconds > 100 * guess.seconds


# --- memory of a GPU ----------------------------------------------------------------------------


def test_a_stack_leaves_a_fifth_of_the_free_memory() -> None:
    # 100 bytes a network, 50 besides: 7 networks take 750 of the 800 bytes.
    assert largest_stack(1000, two=250, four=450) == 7
    assert largest_stack(100, two=250, four=450) == 1
    assert largest_stack(10**9, two=250, four=250) > 1000


def test_on_the_cpu_all_members_are_one_stack() -> None:
    members = [Member(network(seed), seed) for seed in range(5)]
    assert fitting_stack(members, data(), recipe()) == 5


# --- speeds -------------------------------------------------------------------------------------


def test_speeds_belong_to_a_machine_and_a_kind() -> None:
    Speeds("cpu").put(KIND, {1: 0.5})
    Speeds("cpu").put(KIND, {25: 0.25})
    assert Speeds("cpu").get(KIND) == {1: 0.5, 25: 0.25}
    assert Speeds("a GPU").get(KIND) == {}
    assert Speeds("cpu").get(replace(KIND, batch_size=11)) == {}


def test_an_estimate_uses_what_was_measured_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, registry = plan_of(tmp_path), Registry.installed()
    monkeypatch.setattr(calibration, "gpu_name", lambda variables: "a GPU")
    store = Store(tmp_path / "results")

    def guess() -> float | None:
        return estimate.estimated(plan, plan, store, registry, GPU).seconds

    assert guess() is None
    trial = next(iter(plan.trials.values()))
    kind, shape, chosen = Calibration(plan, registry, GPU)._described(trial)
    Speeds("a GPU").put(kind, {1: 9.0, 2: 1.0, 1000: 0.1})  # six trials are no stack of 1,000
    steps = 2 * -(-shape.train // chosen.batch_size)
    evaluated = 3 * shape.validation + 3 * shape.test
    each = steps + evaluated / chosen.batch_size / 3
    assert guess() == pytest.approx(6 * each / 2 + estimate._START_UP_SECONDS)


# --- jobs ---------------------------------------------------------------------------------------


def test_stacks_hold_every_trial_once_seeds_first_and_only_what_is_alike() -> None:
    trials = [a_trial(seed=seed, artifact=artifact) for seed in range(5) for artifact in ("a", "b")]
    trials.append(a_trial(recipe={"epochs": 4}))
    stacks = stacks_of(trials, lambda trial, count: min(2, count))
    assert sorted(t.key for stack in stacks for t in stack) == sorted(t.key for t in trials)
    for stack in stacks:
        assert len(stack) <= 2
        assert len({(t.artifact, str(t.recipe)) for t in stack}) == 1
    order = [trial.key for trial in trials]
    firsts = [order.index(stack[0].key) for stack in stacks]
    assert firsts == sorted(firsts)
    assert sorted(len(stack) for stack in stacks) == [1, 1, 1, 2, 2, 2, 2]


def test_a_job_of_several_trials_counts_their_attempts(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    keys = list(plan.trials)
    jobs = [job for job in jobs_of(plan, {keys[1]: 3}, lambda *_: 6) if isinstance(job, TrainJob)]
    (job,) = jobs
    assert [trial.key for trial in job.trials] == keys
    assert job.attempts == (1, 4, 1, 1, 1, 1)


def outcomes(
    folder: Path, stack: int, model: str = "zoo_cnn"
) -> tuple[dict[str, Record], list[Event]]:
    """Train the trials of a plan in jobs of `stack`; return their records by key."""
    plan = plan_of(folder, model)
    events: list[Event] = []
    with Store(folder / f"results{stack}").lock("a test") as writer:
        spool = Spool(writer.paths.spool / "test")
        workspace = Workspace(Registry.installed(), writer, spool, "cpu", None)
        for job in jobs_of(plan, {}, lambda *_: stack):
            told: list[Event] = []
            perform_and_tell(json.dumps(job.tree()), workspace, told.append)
            for event in told:
                if isinstance(event, Outcome):
                    writer.adopt(Path(event.path))
            events += told
            assert isinstance(job, DataJob | TrainJob)
        return writer.records(list(plan.trials)), events


def assert_same(one: Record, other: Record) -> None:
    """Two records have the same identity and streams, and to rounding the same numbers."""
    assert one.identity == other.identity
    assert one.streams == other.streams
    assert one.final == pytest.approx(other.final, abs=0.01)


def test_in_a_stack_every_trial_keeps_its_key_streams_and_numbers(
    tmp_path: Path, one_thread: None
) -> None:
    alone, _ = outcomes(tmp_path, 1)
    together, _ = outcomes(tmp_path, 6)
    assert alone.keys() == together.keys()
    for key, record in together.items():
        assert record.status is TrialStatus.DONE
        assert record.cost.stack_size == 6
        assert_same(alone[key], record)


def test_what_does_not_fit_is_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    sizes = []

    def small(members: Any, *rest: Any, **options: Any) -> Any:
        sizes.append(len(members))
        if len(members) > 2:
            raise torch.OutOfMemoryError("no room")
        return train_stack(members, *rest, **options)

    monkeypatch.setattr("initbench.training.stacked_run.train_stack", small)
    records, _ = outcomes(tmp_path, 6)
    assert sizes == [6, 3, 2, 3, 2]  # those of one go without a stack
    assert {record.status for record in records.values()} == {TrialStatus.DONE}
    assert [record.cost.stack_size for record in records.values()].count(2) == 4


def test_what_cannot_be_stacked_is_trained_alone_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    reason = "it depends on the weather"
    monkeypatch.setattr("initbench.training.stackable.why_not_stackable", lambda *_: reason)
    records, _ = outcomes(tmp_path, 6)
    for record in records.values():
        assert record.status is TrialStatus.DONE
        assert record.cost.stack_size == 1
        assert record.notes == [f"trained without a stack: {reason}"]


def test_a_stack_that_raises_is_trained_one_by_one_and_the_records_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a broken stack")

    monkeypatch.setattr("initbench.training.stacked_run.train_stack", broken)
    records, _ = outcomes(tmp_path, 6)
    assert len(records) == 6
    for record in records.values():
        assert record.status is TrialStatus.DONE
        (note,) = record.notes
        assert "trained without a stack" in note
        assert "a broken stack" in note


def test_two_trials_are_alike_only_with_equal_model_data_recipe_and_artifact() -> None:
    def together(other: Trial) -> bool:
        return len(stacks_of([a_trial(), other], lambda *_: 2)) == 1

    assert together(a_trial(seed=1))
    assert not together(a_trial(artifact="a" * 64))
    assert not together(a_trial(recipe={"epochs": 9}))
