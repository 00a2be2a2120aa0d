"""Performing a job: a pure function of its description, the store it reads and the spool it writes.

Nothing here knows who asked.
"""

from __future__ import annotations

from initbench.execution.fit import fit
from initbench.execution.jobs import DataJob, FitJob, Job, ObserveJob, TrainJob
from initbench.execution.observe import observe
from initbench.execution.prepare import prepare
from initbench.execution.training import train
from initbench.execution.workspace import Emit, Workspace


def perform(job: Job, workspace: Workspace, emit: Emit) -> None:
    """Perform a job; every outcome is whole in the spool before it is announced."""
    match job:
        case DataJob():
            prepare(job, workspace, emit)
        case FitJob():
            fit(job, workspace, emit)
        case TrainJob():
            train(job, workspace, emit)
        case ObserveJob():
            observe(job, workspace, emit)
