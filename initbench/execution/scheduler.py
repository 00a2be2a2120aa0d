"""The scheduler: runs the jobs of a plan in order of need and adopts their outcomes.

It is the only part that writes to the store while a suite runs. It adopts what workers spooled,
counts attempts, repeats jobs that infrastructure lost, and gives up on one after `MOST_ATTEMPTS`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from initbench.errors import CorruptRecordError, InitbenchError, UserError
from initbench.execution.events import Broken, Event, Finished, Outcome, Progress
from initbench.execution.jobs import DataJob, Job, TrainJob
from initbench.execution.pools import Pool
from initbench.store.artifact import StoredArtifact
from initbench.store.environment import environment, scrub
from initbench.store.record import Cost, Failure, Record, TrialStatus
from initbench.store.store import StoreWriter
from initbench.suite.trial import Trial

MOST_ATTEMPTS = 2
"""How often one run begins a job whose worker keeps dying."""

_NOTHING = Cost(wall_seconds=0, device_seconds=0, peak_memory_bytes=0, images_seen=0, steps=0)


class Observer(Protocol):
    """Whoever wants to know how a run gets on: the terminal, the mirror."""

    def progress(self, progress: Progress) -> None:
        """A trial was evaluated."""

    def committed(self, outcome: Record | StoredArtifact) -> None:
        """A record or an artifact has just been committed to the store."""

    def waiting(self) -> None:
        """Nothing happened for a moment."""


class Scheduler:
    """Runs jobs on a pool until none is left."""

    def __init__(self, writer: StoreWriter, pool: Pool, observer: Observer) -> None:
        self._writer = writer
        self._pool = pool
        self._observer = observer
        self._waiting: deque[Job] = deque()
        self._running: dict[str, Job] = {}
        self._unfinished: set[str] = set()
        self._times_lost: Counter[str] = Counter()

    def run(self, jobs: Sequence[Job]) -> None:
        """Perform all jobs, each when what it needs is there.

        Raises:
            UserError: a job met wrong input (unreadable data, say); nothing committed is lost.
            InitbenchError: a job met a bug of the harness, or workers cannot start.
        """
        self._waiting.extend(jobs)
        self._unfinished.update(name for job in jobs for name in _provides(job))
        while self._waiting or self._running:
            while self._pool.has_room() and (job := self._take_ready()):
                self._begin(job)
            event = self._pool.next_event(timeout=0.2)
            if event is None:
                self._observer.waiting()
            else:
                self._hear(event)

    def _take_ready(self) -> Job | None:
        """Remove and return the first job that waits for nothing that is still to come."""
        for job in self._waiting:
            if not job.needs & self._unfinished:
                self._waiting.remove(job)
                return job
        return None

    def _begin(self, job: Job) -> None:
        for key, attempt in _claims(job):
            self._writer.claim(key, attempt)
        self._running[job.id] = job
        self._pool.submit(job)

    def _hear(self, event: Event) -> None:
        match event:
            case Progress():
                self._observer.progress(event)
            case Outcome():
                self._adopt(event)
            case Finished():
                self._finish(self._running.pop(event.job))
            case Broken():
                self._broken(event, self._running.pop(event.job))

    def _adopt(self, event: Outcome) -> None:
        try:
            outcome = self._writer.adopt(Path(event.path))
        except CorruptRecordError:
            # Set aside, with a warning; the job counts as lost when it ends without this outcome.
            return
        self._unfinished.discard(outcome.key)
        self._observer.committed(outcome)

    def _finish(self, job: Job) -> None:
        if any(key in self._unfinished for key in _provides(job)):
            self._lost(job, Broken(job.id, "lost", "its outcome did not arrive whole"))
        self._release(job)

    def _broken(self, event: Broken, job: Job) -> None:
        if event.why == "wrong input":
            raise UserError(event.message)
        if event.why == "bug":
            raise InitbenchError(f"a job met a bug: {event.message}\n{event.log}")
        self._lost(job, event)

    def _lost(self, job: Job, event: Broken) -> None:
        """Repeat a lost job, or give up on it and on everything that waits for it."""
        self._times_lost[job.id] += 1
        if self._times_lost[job.id] < MOST_ATTEMPTS:
            self._waiting.appendleft(_again(job, self._unfinished))
            return
        if isinstance(job, DataJob):
            raise InitbenchError(f"preparing `{job.data.dataset.name}` failed: {event.message}")
        self._give_up(job, event)

    def _give_up(self, job: Job, event: Broken) -> None:
        if isinstance(job, TrainJob):
            for trial, attempt in zip(job.trials, job.attempts, strict=True):
                if trial.key in self._unfinished:
                    record = _lost_record(trial, attempt, event)
                    self._observer.committed(self._writer.commit(record))
        self._release(job)
        provided = set(_provides(job))
        for dependent in [other for other in self._waiting if other.needs & provided]:
            self._waiting.remove(dependent)
            message = f"what it needs was lost: {event.message}"
            self._give_up(dependent, Broken(dependent.id, "lost", message, event.log))
        self._unfinished -= provided

    def _release(self, job: Job) -> None:
        for key, _ in _claims(job):
            self._writer.release(key)


def _provides(job: Job) -> list[str]:
    return [trial.key for trial in job.trials] if isinstance(job, TrainJob) else [job.id]


def _claims(job: Job) -> list[tuple[str, int]]:
    if not isinstance(job, TrainJob):
        return []
    return [(t.key, n) for t, n in zip(job.trials, job.attempts, strict=True)]


def _again(job: Job, unfinished: set[str]) -> Job:
    """Return what is left of a lost job, its trials one attempt older."""
    if not isinstance(job, TrainJob):
        return job
    left = [(t, n + 1) for t, n in zip(job.trials, job.attempts, strict=True)]
    left = [(trial, n) for trial, n in left if trial.key in unfinished]
    return TrainJob(tuple(t for t, _ in left), tuple(n for _, n in left))


def _lost_record(trial: Trial, attempt: int, event: Broken) -> Record:
    return Record(
        key=trial.key,
        identity=trial.identity,
        status=TrialStatus.LOST,
        failure=Failure(kind="lost", message=scrub(event.message), log=scrub(event.log)),
        cost=_NOTHING,
        environment=environment(),
        attempts=attempt,
    )
