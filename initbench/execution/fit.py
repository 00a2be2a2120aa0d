"""Performing a fit: an initialiser learns from its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.execution.events import Outcome
from initbench.execution.jobs import FitJob
from initbench.execution.networks import anatomy_of, initialiser_of, network_of
from initbench.execution.workspace import Emit, Workspace, failure_of, is_out_of_memory, meter
from initbench.plugin.guard import contained
from initbench.store.artifact import StoredArtifact
from initbench.store.environment import environment
from initbench.store.record import TrialStatus
from initbench.streams import Stream, generator
from initbench.suite.fittings import target_of
from initbench.suite.trial import DataReference, Fitting
from initbench.zoo.members import zoo_of

if TYPE_CHECKING:
    from initbench.plugin.initialiser import Artifact
    from initbench.plugin.sources import FitInputs


def fit(job: FitJob, workspace: Workspace, emit: Emit) -> None:
    """Fit an initialiser, and spool its artifact, or why there is none."""
    costs = meter(workspace.device)
    initialiser = initialiser_of(workspace, job.fitting.initialiser)
    fitted: Artifact | None = None
    failure = None
    try:
        inputs = _fit_inputs(job.fitting, workspace)
        fitted = contained(lambda: initialiser.fit(inputs)).result(f"`fit` of `{initialiser.name}`")
    except MemoryError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        failure = failure_of(error)
    artifact = StoredArtifact(
        key=job.id,
        kind="fit",
        identity=job.fitting.identity,
        status=TrialStatus.FAILED if fitted is None else TrialStatus.DONE,
        failure=failure,
        description={} if fitted is None else dict(fitted.description),
        cost=costs.cost(images_seen=0, steps=0),
        environment=environment(),
    )
    tensors = None if fitted is None else fitted.tensors
    emit(Outcome(job.id, str(workspace.spool.put_artifact(artifact, tensors))))


def _fit_inputs(fitting: Fitting, workspace: Workspace) -> FitInputs:
    from initbench.plugin.sources import FitInputs

    network, dataset = network_of(workspace, fitting.model, fitting.data, fitting.seed)
    anatomy = anatomy_of(network, dataset.channels, fitting.data)
    target = target_of(fitting.model, fitting.data, fitting.recipe, dataset.classes, anatomy)
    sources = tuple(
        zoo_of(workspace.store, source["trials"])
        if source["kind"] == "zoo"
        else workspace.splits(DataReference.of(source["data"]))
        for source in fitting.sources
    )
    draws = generator(fitting.seed, Stream.FIT)
    return FitInputs(target, sources, draws, workspace.device, network)
