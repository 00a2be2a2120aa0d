"""A population of networks that a test has in its hands."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from initbench.data.device_data import DeviceData
from initbench.plugin.sources import Zoo
from initbench.probes.probe import Checkpoint
from initbench.store.record import Record
from tests.factories import record
from tests.training.networks import data


def trial_record(seed: int = 0, *, label_smoothing: float = 0.0) -> Record:
    """A record whose identity has a recipe, as those of the harness have."""
    plain = record(seed=seed)
    recipe = {"label_smoothing": label_smoothing}
    return plain.model_copy(update={"identity": {**plain.identity, "recipe": recipe}})


@dataclass(frozen=True)
class Subject:
    """A trial with the networks that it is given."""

    networks: Mapping[Checkpoint, nn.Module]
    record: Record = field(default_factory=trial_record)
    seed: int = 0

    def network(self, checkpoint: Checkpoint) -> nn.Module | None:
        found = self.networks.get(checkpoint)
        return None if found is None else copy.deepcopy(found).eval()


@dataclass(frozen=True)
class Population:
    """Subjects that look at the small images of the tests of training."""

    subjects: list[Subject]
    data: DeviceData = field(default_factory=data)
    learnt_from: Zoo | None = None
    parts: Mapping[str, slice] = field(default_factory=dict)

    def zoo(self) -> Zoo | None:
        return self.learnt_from


def alone(
    *, zoo: Zoo | None = None, trial: Record | None = None, **networks: nn.Module
) -> Population:
    """One trial, its networks by checkpoint."""
    subject = Subject(networks, trial or trial_record())  # type: ignore[arg-type]
    return Population([subject], learnt_from=zoo)
