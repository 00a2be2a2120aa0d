"""The probe contract: looks at the networks of one trial, or of all trials of one cell.

What a probe sees is its *observation*: a few tensors, stored under a key, shared by all measures
that need it, and all that is left of images and networks when measures are computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import torch

    from initbench.data.device_data import DeviceData
    from initbench.plugin.sources import Zoo
    from initbench.store.record import Record

Checkpoint = Literal["initial", "best", "last"]
"""Which weights of a trial: those before training, with the best validation accuracy, the last."""


@dataclass(frozen=True)
class ProbeImages:
    """The data set that a probe looks at, by name and configuration."""

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)


class Subject(Protocol):
    """One trial, as a probe sees it."""

    @property
    def seed(self) -> int: ...
    @property
    def record(self) -> Record: ...

    def network(self, checkpoint: Checkpoint) -> torch.nn.Module | None:
        """Return the network on the device in eval mode, built anew at each call.

        None where there is none: a trial that diverged or failed has no trained networks, one
        that failed may have no start either.
        """


class Population(Protocol):
    """The trials that a probe looks at together, and the images it asked for."""

    @property
    def subjects(self) -> Sequence[Subject]:
        """The trials of a cell in the order of their seeds, or the one trial."""

    @property
    def data(self) -> DeviceData:
        """The images, on the device: those the networks were trained on, or others.

        Either way they are normalised as in training, which is part of what a network is.
        """

    @property
    def parts(self) -> Mapping[str, slice]:
        """Named parts of the test images, if the data set has any (`DataSet.parts`)."""

    def zoo(self) -> Zoo | None:
        """Return the zoo that the initialiser learnt from; None where it learnt from none."""


@dataclass(frozen=True)
class Observation:
    """What a probe saw: tensors, and anything else in plain JSON."""

    tensors: Mapping[str, torch.Tensor]
    description: Mapping[str, Any] = field(default_factory=dict)


class Probe(ABC):
    """Looks at networks; a subclass is a frozen dataclass whose fields are its settings.

    Settings are plain JSON: whatever changes an observation is one, and nothing else is.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Bump it when the observation for given networks and settings changes."""
    scope: ClassVar[Literal["trial", "cell"]]
    """Whether each trial is looked at alone, or all trials of a cell together."""

    def images(self) -> ProbeImages | None:
        """Return the data set to look at; None: the one that the networks were trained on."""
        return None

    @abstractmethod
    def observe(self, population: Population) -> Observation:
        """Return what there is to see; memory must not grow with the number of images."""

    def tree(self) -> dict[str, Any]:
        """Return the part of a key that stands for this probe."""
        settings = asdict(self)  # type: ignore[call-overload]
        return {"name": self.name, "version": self.version, "settings": settings}
