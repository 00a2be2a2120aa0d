"""Performing a fit: an initialiser learns from its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.execution.artifacts import Made, spool_artifact
from initbench.execution.jobs import FitJob
from initbench.execution.networks import anatomy_of, initialiser_of, network_of
from initbench.execution.workspace import Emit, Workspace
from initbench.plugin.guard import contained
from initbench.streams import Stream, generator
from initbench.suite.fittings import target_of
from initbench.suite.trial import DataReference, Fitting
from initbench.zoo.members import zoo_of

if TYPE_CHECKING:
    from initbench.plugin.sources import FitInputs


def fit(job: FitJob, workspace: Workspace, emit: Emit) -> None:
    """Fit an initialiser, and spool its artifact, or why there is none."""
    initialiser = initialiser_of(workspace, job.fitting.initialiser)

    def learnt() -> Made:
        inputs = _fit_inputs(job.fitting, workspace)
        fitted = contained(lambda: initialiser.fit(inputs)).result(f"`fit` of `{initialiser.name}`")
        return fitted.tensors, fitted.description

    spool_artifact(job.id, "fit", job.fitting.identity, workspace, emit, learnt)


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
