"""Performing a data job: a data set is loaded, checked, resized and stored."""

from __future__ import annotations

from initbench.execution.events import Outcome
from initbench.execution.jobs import DataJob
from initbench.execution.workspace import Emit, Workspace, meter, same_code
from initbench.store.artifact import StoredArtifact
from initbench.store.environment import environment
from initbench.store.record import TrialStatus


def prepare(job: DataJob, workspace: Workspace, emit: Emit) -> None:
    """Prepare a data set, and spool its tensors."""
    from initbench.data.identify import remarked
    from initbench.data.prepared import prepare as prepared
    from initbench.data.prepared import to_tensors

    costs = meter("cpu")
    reference = job.data.dataset
    dataset = same_code(workspace.registry.dataset(reference.name, reference.config), reference)
    splits = prepared(dataset, job.data.size, workspace.data_root, expected=job.data.fingerprint)
    splits = remarked(dataset, splits, job.data.fingerprint, workspace.data_root)
    tensors, description = to_tensors(splits)
    artifact = StoredArtifact(
        key=job.id,
        kind="data",
        identity=job.data.identity,
        status=TrialStatus.DONE,
        description=description,
        cost=costs.cost(images_seen=0, steps=0),
        environment=environment(),
    )
    emit(Outcome(job.id, str(workspace.spool.put_artifact(artifact, tensors))))
