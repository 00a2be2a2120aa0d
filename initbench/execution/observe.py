"""Performing an observation: the networks of a cell are rebuilt, and a probe looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from initbench.errors import InitbenchError, PluginError
from initbench.execution.artifacts import Made, spool_artifact
from initbench.execution.events import Event
from initbench.execution.jobs import ObserveJob
from initbench.execution.networks import built, starting_network
from initbench.execution.workspace import (
    Workspace,
    same_code,
)
from initbench.measures.measure import probe_of
from initbench.plugin.guard import contained
from initbench.store.record import TrialStatus
from initbench.suite.trial import Fitting, Observing, Trial
from initbench.zoo.members import zoo_of

if TYPE_CHECKING:
    import torch

    from initbench.data.device_data import DeviceData
    from initbench.plugin.sources import Zoo
    from initbench.probes.probe import Checkpoint, Probe
    from initbench.store.record import Record


def observe(job: ObserveJob, workspace: Workspace, emit: Callable[[Event], None]) -> None:
    """Let a probe look at networks, and spool what it saw, or why it could not."""
    observing = job.observing

    def seen() -> Made:
        probe = _probe(observing, workspace)
        population = StoredPopulation(observing, workspace)
        found = contained(lambda: probe.observe(population)).result(f"probe `{probe.name}`")
        return found.tensors, found.description

    spool_artifact(job.id, "observation", observing.identity, workspace, emit, seen)


@dataclass(frozen=True)
class StoredSubject:
    """A trial of the store, its networks rebuilt when they are asked for."""

    trial: Trial
    record: Record
    workspace: Workspace

    @property
    def seed(self) -> int:
        return self.trial.seed

    def network(self, checkpoint: Checkpoint) -> torch.nn.Module | None:
        """Return the network on the device in eval mode; None where there is none."""
        if checkpoint == "initial":
            return self._start()
        if self.record.status is not TrialStatus.DONE:
            return None
        network = built(self.workspace, self.trial)
        network.load_state_dict(self.workspace.store.weights(self.record, checkpoint))
        return network.to(self.workspace.device).eval()

    def _start(self) -> torch.nn.Module | None:
        if self.record.status is TrialStatus.FAILED:
            return None
        return starting_network(self.trial, self.workspace).eval()


@dataclass(frozen=True)
class StoredPopulation:
    """The trials of an observation, as the store has them."""

    observing: Observing
    workspace: Workspace

    @cached_property
    def subjects(self) -> list[StoredSubject]:
        """The trials in the order of their seeds."""
        return [self._subject(key) for key in self.observing.trials]

    @property
    def data(self) -> DeviceData:
        """The images that are looked at, on the device, normalised as in training."""
        from initbench.data.device_data import normalised_with

        data = self.workspace.on_device(self.observing.data)
        if self.observing.data.key == self.observing.trained_on:
            return data
        trained_on = self.workspace.store.artifact(self.observing.trained_on)
        if trained_on is None:
            raise InitbenchError("the data that networks were trained on are not in the store")
        return normalised_with(data, *(trained_on.description[name] for name in ("mean", "std")))

    @property
    def parts(self) -> Mapping[str, slice]:
        """Named parts of the test images."""
        reference = self.observing.data.dataset
        dataset = self.workspace.registry.dataset(reference.name, reference.config).thing
        return contained(dataset.parts).result(f"data set `{reference.name}`, asked for its parts,")

    def zoo(self) -> Zoo | None:
        """Return the zoo that the initialiser learnt from; None where it learnt from none."""
        key = self.subjects[0].trial.artifact
        fitted = None if key is None else self.workspace.store.artifact(key)
        if fitted is None:
            return None
        zoo_trials = Fitting.of(fitted.identity).zoo_trials
        return zoo_of(self.workspace.store, zoo_trials) if zoo_trials else None

    def _subject(self, key: str) -> StoredSubject:
        record = self.workspace.store.record(key)
        if record is None or record.status is TrialStatus.LOST:
            raise InitbenchError(f"trial {key[:12]} is to be looked at, but has no record")
        return StoredSubject(Trial.of(record.identity), record, self.workspace)


def _probe(observing: Observing, workspace: Workspace) -> Probe:
    """Return the probe of the measure that stands for it, as it was when the plan was made."""
    reference = observing.measure
    resolved = workspace.registry.measure(reference.name, reference.config)
    measure = same_code(resolved, reference)
    probe = contained(lambda: probe_of(measure)).result(f"measure `{reference.name}`")
    if probe is None or probe.tree() != observing.probe:
        raise PluginError(
            f"the probe of measure `{reference.name}` is not the one that was planned; start the "
            "run again"
        )
    return probe
