"""Artifacts of jobs: what a fit learnt or a probe saw, or why there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from initbench.execution.events import Outcome
from initbench.execution.workspace import Emit, Workspace, failure_of, is_out_of_memory, meter
from initbench.store.artifact import StoredArtifact
from initbench.store.environment import environment
from initbench.store.record import TrialStatus

if TYPE_CHECKING:
    import torch

Made = tuple[Mapping[str, "torch.Tensor"], Mapping[str, Any]]
"""Tensors, and a description that is plain JSON."""


def spool_artifact(
    key: str,
    kind: Literal["fit", "observation"],
    identity: dict[str, Any],
    workspace: Workspace,
    emit: Emit,
    make: Callable[[], Made],
) -> None:
    """Spool what `make` returns, or why it could not; running out of memory passes through."""
    costs = meter(workspace.device)
    tensors: dict[str, torch.Tensor] | None = None
    description: Mapping[str, Any] = {}
    failure = None
    try:
        made, description = make()
        tensors = {name: tensor.cpu().contiguous() for name, tensor in made.items()}
    except MemoryError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        failure = failure_of(error)
    artifact = StoredArtifact(
        key=key,
        kind=kind,
        identity=identity,
        status=TrialStatus.DONE if failure is None else TrialStatus.FAILED,
        failure=failure,
        description=dict(description),
        cost=costs.cost(images_seen=0, steps=0),
        environment=environment(),
    )
    emit(Outcome(key, str(workspace.spool.put_artifact(artifact, tensors))))
