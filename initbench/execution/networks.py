"""Networks of trials: built, initialised, and as they were before their first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initbench.errors import PluginError
from initbench.execution.workspace import Workspace, meter, same_code
from initbench.plugin.guard import contained, shared_generators
from initbench.store.record import Cost, TrialStatus
from initbench.streams import Stream, generator, stream_seed
from initbench.suite.trial import DataReference, Reference, Trial

if TYPE_CHECKING:
    import torch

    from initbench.data.dataset import DataSet
    from initbench.data.device_data import DeviceData
    from initbench.models.anatomy import Anatomy
    from initbench.models.model import Model
    from initbench.plugin.apply import Applied
    from initbench.plugin.initialiser import Artifact, Batch, Initialiser


@dataclass(frozen=True)
class Start:
    """A trial ready to be trained."""

    trial: Trial
    attempt: int
    network: torch.nn.Module
    applied: Applied
    cost: Cost  # of setting its weights


def started(
    trial: Trial,
    attempt: int,
    initialiser: Initialiser[Any],
    workspace: Workspace,
    data: DeviceData,
) -> Start:
    """Return a trial with its network built, initialised and laid out as for training."""
    from initbench.plugin.apply import apply

    network, dataset = network_of(workspace, trial.model, trial.data, trial.seed)
    network.to(workspace.device)
    anatomy = anatomy_of(network, dataset.channels, trial.data)
    costs = meter(workspace.device)
    applied = apply(
        initialiser,
        network,
        anatomy,
        seed=trial.seed,
        batch=_calibration_batch(initialiser, trial, data),
        artifact=_fitted_state(workspace, trial),
    )
    cost = costs.cost(images_seen=0, steps=0)
    return Start(trial, attempt, _laid_out(network, trial, workspace), applied, cost)


def built(workspace: Workspace, trial: Trial) -> torch.nn.Module:
    """Return the network of a trial as its model builds it, laid out as for training."""
    network, _ = network_of(workspace, trial.model, trial.data, trial.seed)
    return _laid_out(network, trial, workspace)


def starting_network(trial: Trial, workspace: Workspace) -> torch.nn.Module:
    """Return the network of a trial as it was before its first step."""
    initialiser = initialiser_of(workspace, trial.initialiser)
    data = workspace.on_device(trial.data)
    return started(trial, 1, initialiser, workspace, data).network


def _laid_out(network: torch.nn.Module, trial: Trial, workspace: Workspace) -> torch.nn.Module:
    model: Model[Any] = workspace.registry.model(trial.model.name, trial.model.config).thing
    return model.laid_out(network)


def _fitted_state(workspace: Workspace, trial: Trial) -> Artifact | None:
    from initbench.plugin.initialiser import Artifact

    if trial.artifact is None:
        return None
    stored = workspace.store.artifact(trial.artifact)
    if stored is None or stored.status is not TrialStatus.DONE:
        reason = stored.failure.message if stored and stored.failure else "it is not in the store"
        raise PluginError(f"the fitted state is missing: {reason}")
    return Artifact(workspace.store.tensors(stored), stored.description)


def _calibration_batch(
    initialiser: Initialiser[Any], trial: Trial, data: DeviceData
) -> Batch | None:
    """Return training images for a data-dependent initialiser, the same for every initialiser."""
    import torch

    from initbench.plugin.initialiser import Batch

    wanted = contained(initialiser.images_needed).result(f"`{initialiser.name}`")
    if wanted == 0:
        return None
    available = len(data.train)
    if wanted > available:
        raise PluginError(
            f"`{initialiser.name}` wants {wanted} training images, the data set has {available}"
        )
    order = torch.randperm(available, generator=generator(trial.seed, Stream.CALIBRATION))
    images, labels = data.batch("train", order[:wanted].to(data.device))
    return Batch(images, labels)


def initialiser_of(workspace: Workspace, reference: Reference) -> Initialiser[Any]:
    """Return a configured initialiser, the very one that the plan meant."""
    resolved = workspace.registry.initialiser(reference.name, reference.config)
    thing: Initialiser[Any] = same_code(resolved, reference)
    return thing


def network_of(
    workspace: Workspace, model: Reference, data: DataReference, seed: int
) -> tuple[torch.nn.Module, DataSet[Any]]:
    """Build a network for a data set; what its constructor draws depends on the seed alone."""
    built = same_code(workspace.registry.model(model.name, model.config), model)
    dataset = workspace.registry.dataset(data.dataset.name, data.dataset.config).thing
    with shared_generators(stream_seed(seed, Stream.BUILD)):
        outcome = contained(lambda: built.build(dataset.channels, data.size, dataset.classes))
    return outcome.result(f"model `{model.name}`"), dataset


def anatomy_of(network: torch.nn.Module, channels: int, data: DataReference) -> Anatomy:
    """Return the anatomy of a network that sees these data."""
    import torch

    from initbench.models.tracing import anatomy

    return anatomy(network, torch.zeros(2, channels, data.size, data.size))
