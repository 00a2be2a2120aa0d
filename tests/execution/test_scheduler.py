"""The scheduler: everything ends with a record, whatever workers do, and needs come first."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from initbench.errors import InitbenchError, UserError
from initbench.execution.events import Broken, Event, Finished, Outcome, Progress
from initbench.execution.jobs import DataJob, FitJob, Job, TrainJob, job_of
from initbench.execution.scheduler import MOST_ATTEMPTS, Scheduler
from initbench.store.artifact import StoredArtifact
from initbench.store.record import Cost, Record, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from initbench.suite.trial import Fitting, Trial
from tests.suite.test_trial import a_trial

COST = Cost(wall_seconds=1, device_seconds=1, peak_memory_bytes=1, images_seen=1, steps=1)


class ScriptedPool:
    """Performs jobs by spooling empty outcomes, or breaks them as its script says.

    `script` maps a job's id to what becomes of it each time: "done", "lost", "silent" (finished
    without an outcome), "bug" or "wrong input"; what is not named is done.
    """

    def __init__(self, folder: Path, script: dict[str, list[str]], room: int = 2) -> None:
        self.spool = Spool(folder)
        self.script = script
        self.room = room
        self.begun: list[str] = []
        self.jobs: deque[Job] = deque()
        self.events: deque[Event] = deque()

    def has_room(self) -> bool:
        return len(self.jobs) < self.room

    def submit(self, job: Job) -> None:
        assert job_of(job.tree()) == job
        self.begun.append(job.id)
        self.jobs.append(job)

    def next_event(self, timeout: float) -> Event | None:
        if not self.events and self.jobs:
            self._perform(self.jobs.popleft())
        return self.events.popleft() if self.events else None

    def close(self) -> None:
        self.jobs.clear()

    def _perform(self, job: Job) -> None:
        fate = self.script.get(job.id, [])
        match fate.pop(0) if fate else "done":
            case "done":
                self.events.extend(Outcome(job.id, str(path)) for path in self._spooled(job))
                self.events.append(Finished(job.id))
            case "silent":
                self.events.append(Finished(job.id))
            case "lost":
                self.events.append(Broken(job.id, "lost", "the worker died", "its last words"))
            case "bug":
                self.events.append(Broken(job.id, "bug", "TypeError: ours", "traceback"))
            case _:
                self.events.append(Broken(job.id, "wrong input", "the file is not there"))

    def _spooled(self, job: Job) -> list[Path]:
        if isinstance(job, TrainJob):
            pairs = zip(job.trials, job.attempts, strict=True)
            return [self.spool.put_record(a_record(t, n)) for t, n in pairs]
        identity = job.data.identity if isinstance(job, DataJob) else job.fitting.identity
        artifact = StoredArtifact(
            key=job.id,
            kind="data" if isinstance(job, DataJob) else "fit",
            identity=identity,
            status=TrialStatus.DONE,
            cost=COST,
            environment={},
        )
        return [self.spool.put_artifact(artifact)]


class Watcher:
    """An observer that remembers what was committed."""

    def __init__(self) -> None:
        self.committed_keys: list[str] = []

    def progress(self, progress: Progress) -> None:
        raise AssertionError("the scripted pool reports no progress")

    def committed(self, outcome: Record | StoredArtifact) -> None:
        self.committed_keys.append(outcome.key)

    def waiting(self) -> None:
        pass


def a_record(trial: Trial, attempt: int) -> Record:
    return Record(
        key=trial.key,
        identity=trial.identity,
        status=TrialStatus.DONE,
        cost=COST,
        environment={},
        attempts=attempt,
    )


def train(trial: Trial) -> TrainJob:
    return TrainJob((trial,), (1,))


def world(seeds: int = 3) -> tuple[list[Job], list[Trial], list[Trial]]:
    """Data, a zoo, a fitting that learns from it, and trials: jobs, zoo trials, trials."""
    zoo = [a_trial(seed=1_000_000 + i) for i in range(2)]
    source = {"kind": "zoo", "trials": [trial.key for trial in zoo]}
    fitting = Fitting(
        zoo[0].initialiser, zoo[0].model, zoo[0].data, zoo[0].recipe, sources=[source]
    )
    plain = [a_trial(seed=i) for i in range(seeds)]
    taught = [a_trial(seed=i, artifact=fitting.key) for i in range(seeds)]
    jobs: list[Job] = [DataJob(zoo[0].data), *map(train, zoo), FitJob(fitting)]
    return [*jobs, *map(train, [*taught, *plain])], zoo, [*taught, *plain]


def run(folder: Path, jobs: list[Job], script: dict[str, list[str]]) -> tuple[Store, ScriptedPool]:
    pool = ScriptedPool(folder / "results" / "spool" / "test", script)
    with Store(folder / "results").lock("a test") as writer:
        Scheduler(writer, pool, Watcher()).run(jobs)
    return Store(folder / "results"), pool


def test_needs_come_first_and_everything_is_done(tmp_path: Path) -> None:
    jobs, zoo, trials = world()
    random.Random(0).shuffle(jobs)
    store, pool = run(tmp_path, jobs, {})
    done = set()
    by_id = {job.id: job for job in jobs}
    for name in pool.begun:
        assert by_id[name].needs <= done
        done.add(name)
    assert set(store.keys()) == {trial.key for trial in [*zoo, *trials]}
    assert list(store.paths.claims.iterdir()) == []


def test_a_job_that_is_lost_once_is_repeated(tmp_path: Path) -> None:
    jobs, _, trials = world()
    store, pool = run(tmp_path, jobs, {trials[0].key: ["lost"]})
    record = store.record(trials[0].key)
    assert record is not None
    assert record.status is TrialStatus.DONE
    assert record.attempts == 2
    assert pool.begun.count(trials[0].key) == 2


@pytest.mark.parametrize("how", ["lost", "silent"])
def test_a_job_that_keeps_being_lost_is_given_up_and_the_rest_goes_on(
    tmp_path: Path, how: str
) -> None:
    jobs, _, trials = world()
    store, _ = run(tmp_path, jobs, {trials[-1].key: [how] * MOST_ATTEMPTS})
    states = [record.status for record in store.records(store.keys()).values()]
    assert states.count(TrialStatus.LOST) == 1
    assert states.count(TrialStatus.DONE) == len(states) - 1
    lost = store.record(trials[-1].key)
    assert lost is not None
    assert lost.attempts == MOST_ATTEMPTS
    assert lost.failure is not None


def test_nothing_is_learnt_from_a_zoo_that_infrastructure_thinned_out(tmp_path: Path) -> None:
    jobs, zoo, trials = world()
    store, pool = run(tmp_path, jobs, {zoo[0].key: ["lost"] * MOST_ATTEMPTS})
    fit = next(job for job in jobs if isinstance(job, FitJob))
    assert fit.id not in pool.begun
    assert store.artifact(fit.id) is None
    for trial in trials:
        expected = TrialStatus.LOST if trial.artifact else TrialStatus.DONE
        assert store.status(trial.key) is expected


def test_wrong_input_ends_the_run_with_its_message(tmp_path: Path) -> None:
    jobs, _, _ = world()
    with pytest.raises(UserError, match="the file is not there"):
        run(tmp_path, jobs, {jobs[0].id: ["wrong input"]})


def test_a_bug_ends_the_run_with_its_traceback_and_keeps_what_is_done(tmp_path: Path) -> None:
    jobs, _, trials = world()
    with pytest.raises(InitbenchError, match="TypeError: ours\ntraceback"):
        run(tmp_path, jobs, {trials[-1].key: ["bug"]})
    assert Store(tmp_path / "results").keys()


def test_data_that_cannot_be_prepared_end_the_run(tmp_path: Path) -> None:
    jobs, _, _ = world()
    with pytest.raises(InitbenchError, match="digits"):
        run(tmp_path, jobs, {jobs[0].id: ["lost"] * MOST_ATTEMPTS})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_lost_every_trial_ends_with_a_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    jobs, zoo, trials = world(seeds=2)
    fates = st.lists(st.sampled_from(["done", "lost", "silent"]), max_size=2)
    script = {job.id: data.draw(fates) for job in jobs[1:]}
    expected_lost = {t.key for t in [*zoo, *trials] if _is_lost(script[t.key])}
    fit = next(job for job in jobs if isinstance(job, FitJob))
    if _is_lost(script[fit.id]) or any(trial.key in expected_lost for trial in zoo):
        expected_lost |= {trial.key for trial in trials if trial.artifact}
    store, _ = run(tmp_path_factory.mktemp("world"), jobs, {k: [*v] for k, v in script.items()})
    found = store.records(store.keys())
    assert set(found) == {trial.key for trial in [*zoo, *trials]}
    assert {k for k, r in found.items() if r.status is TrialStatus.LOST} == expected_lost


def _is_lost(fate: list[str]) -> bool:
    return len(fate) >= MOST_ATTEMPTS and "done" not in fate


def test_a_lost_trial_is_run_again_by_the_next_run(tmp_path: Path) -> None:
    jobs, _, trials = world()
    key = trials[-1].key
    run(tmp_path, jobs, {key: ["lost"] * MOST_ATTEMPTS})
    store, _ = run(tmp_path, [job for job in jobs if job.id == key], {})
    assert store.status(key) is TrialStatus.DONE


def test_two_writers_cannot_schedule_at_once(tmp_path: Path) -> None:
    jobs, _, _ = world()
    with Store(tmp_path / "results").lock("the first") as writer:
        assert isinstance(writer, StoreWriter)
        with pytest.raises(UserError, match="the first"):
            run(tmp_path, jobs, {})
