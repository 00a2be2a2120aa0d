"""Running a plan: lock the store, find out what is missing, do it, keep everybody informed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.execution.calibration import Calibration
from initbench.execution.devices import Slot, slots
from initbench.execution.jobs import Job, jobs_of
from initbench.execution.pools import InProcessPool, Pool, WorkerFiles, WorkerPool
from initbench.execution.scheduler import Observer, Scheduler
from initbench.store.record import TrialStatus
from initbench.store.store import Store, StoreWriter
from initbench.suite.plan import Plan

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry

DATA_VARIABLE = "INITBENCH_DATA"


@dataclass(frozen=True)
class Resources:
    """What a run may use. No slots: everything in this process, on `device`."""

    slots: Sequence[Slot]
    device: str
    data_root: Path | None
    devices_per_trial: int = 1
    stack: bool | None = None
    """Whether trials of one kind may be trained as a stack; None: where there are many of them."""


def data_root() -> Path | None:
    """Return the folder of data sets that the user named in INITBENCH_DATA, if any."""
    value = os.environ.get(DATA_VARIABLE)
    return Path(value) if value else None


def resources(
    device: str, workers: int | None, devices_per_trial: int = 1, stack: bool | None = None
) -> Resources:
    """Return what a run may use; errors as for `slots`."""
    leased = slots(device, workers or None, devices_per_trial)
    slots_used = [] if workers == 0 else leased
    used = leased[0].device
    return Resources(slots_used, used, data_root(), devices_per_trial, stack)


def pending(plan: Plan, store: Store) -> Plan:
    """Return what remains to be done of a plan: lost trials count as not done."""

    def is_done(key: str) -> bool:
        return store.status(key) not in (None, TrialStatus.LOST)

    def can_teach(key: str) -> bool:
        record = store.record(key)
        if record is None or record.status is TrialStatus.LOST:
            return False
        return record.weights is None or store.has_blob(record.weights)

    def has_artifact(key: str) -> bool:
        return store.artifact(key) is not None

    return plan.pending(is_done, can_teach, has_artifact)


def forget_failed(plan: Plan, writer: StoreWriter) -> None:
    """Make everything of a plan that failed pending again: trials, fits and observations."""
    for key in plan.all_trials:
        if writer.status(key) is TrialStatus.FAILED:
            writer.delete(key)
    for key in (*plan.fittings, *plan.observations):
        artifact = writer.artifact(key)
        if artifact is not None and artifact.status is TrialStatus.FAILED:
            writer.delete(key)


def forget_without_weights(plan: Plan, writer: StoreWriter) -> None:
    """Make the trials of a plan pending again whose weights are gone: of a zoo, they are wanted."""
    for key, record in writer.records(plan.trials).items():
        if record.weights is not None and not writer.has_blob(record.weights):
            writer.delete(key)


def execute(
    plan: Plan, writer: StoreWriter, registry: Registry, resources: Resources, observer: Observer
) -> None:
    """Do what remains of a plan, given the lock on its store.

    Outcomes that workers of an earlier, killed run left in their spools are adopted first.
    """
    for outcome in writer.adopt_leftovers():
        observer.committed(outcome)
    attempts = writer.interrupted()
    left = pending(plan, writer)
    if not left.all_trials and not left.data and not left.observations:
        return
    jobs = jobs_of(left, attempts, Calibration(plan, registry, resources).stack_size)
    pool = _pool(writer, registry, resources, jobs)
    try:
        Scheduler(writer, pool, observer).run(jobs)
    finally:
        pool.close()
        for outcome in writer.adopt_leftovers():
            observer.committed(outcome)


def _pool(
    writer: StoreWriter, registry: Registry, resources: Resources, jobs: Sequence[Job]
) -> Pool:
    spool = writer.paths.spool / secrets.token_hex(4)
    if not resources.slots:
        from initbench.execution.workspace import Workspace
        from initbench.store.spool import Spool

        return InProcessPool(
            Workspace(
                registry,
                writer,
                Spool(spool),
                resources.device,
                resources.data_root,
                resources.devices_per_trial,
            )
        )
    return WorkerPool(
        [
            (
                slot,
                WorkerFiles(
                    results=writer.paths.root,
                    spool=spool / f"worker-{i}",
                    log=writer.paths.log(f"worker-{i}"),
                    data_root=resources.data_root,
                ),
            )
            for i, slot in enumerate(resources.slots[: len(jobs)])
        ]
    )
