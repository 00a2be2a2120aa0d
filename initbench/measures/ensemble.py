"""What measures of ensembles share: settings, label, and the value of a cell from its ensembles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from initbench.measures.images import On, images_label, probe_images
from initbench.measures.measure import PopulationMeasure, PopulationValue
from initbench.measures.population import population_value
from initbench.plugin.initialiser import Config
from initbench.probes.ensembles import Combine, Ensembles
from initbench.probes.scores import Summed

if TYPE_CHECKING:
    import torch

    from initbench.probes.probe import Observation
    from initbench.store.record import Record


class EnsembleConfig(Config):
    """Which images, and which ensembles."""

    on: On = None
    """A data set by name, or a mapping with `name` and its configuration; none: the test images of
    the data set that networks were trained on."""
    part: str | None = None
    """A named part of the test images, such as a corruption; none: all of them."""
    checkpoint: Literal["best", "last"] = "best"
    size: Annotated[int, Field(ge=1)] = 5
    """Members of an ensemble."""
    count: Annotated[int, Field(ge=1)] = 20
    """Ensembles whose values are shown, and whose mean is the value."""
    further: Annotated[int, Field(ge=0)] = 180
    """Ensembles beside them, which tests and intervals are made from as well."""
    combine: Combine = "logits"
    """What is averaged over members."""
    fidelity: Literal["paper", "code"] = "paper"
    """`code` draws the members of an ensemble with replacement."""


EnsembleConfigT = TypeVar("EnsembleConfigT", bound=EnsembleConfig)

_IN_LABEL = ("size", "count", "further", "combine", "fidelity", "checkpoint")
"""Settings that a label tells where they are not the default."""


class EnsembleMeasure(PopulationMeasure[EnsembleConfigT]):
    """A score of ensembles of the trials of a cell."""

    Config = EnsembleConfig

    def probe(self) -> Ensembles:
        config = self.config
        return Ensembles(
            on=probe_images(config.on),
            checkpoint=config.checkpoint,
            size=config.size,
            count=config.count,
            further=config.further,
            combine=config.combine,
            replacement=config.fidelity == "code",
        )

    def part(self) -> str | None:
        return self.config.part

    def label(self) -> str:
        config, default = self.config, EnsembleConfig()
        given = ((name, getattr(config, name)) for name in _IN_LABEL)
        settings = [f"{n}={value}" for n, value in given if value != getattr(default, n)]
        parts = [self.name, *self._variant(), images_label(config.on), config.part or ""]
        return ".".join(part for part in [*parts, *settings] if part)

    def of_cell(
        self, observation: Observation, records: Mapping[int, Record]
    ) -> PopulationValue | None:
        """Return the mean over the ensembles that are shown; pseudo-values are from all."""
        sets = observation.tensors["sets"]
        if len(sets) == 0:
            return None
        alone, together = (self._summed(observation, who) for who in ("members", "ensembles"))
        return population_value(
            self._scores(alone, together, sets).tolist(),
            sets.tolist(),
            sorted(records),
            shown=observation.description["shown"],
        )

    def note(self, records: Sequence[Record]) -> str:
        trials, size = len(records), self.config.size
        if trials < size:
            return f"ensembles of {size} need as many trials, not {trials}"
        return "each trial is in every ensemble: no interval" if trials == size else ""

    @abstractmethod
    def _scores(self, members: Summed, ensembles: Summed, sets: torch.Tensor) -> torch.Tensor:
        """Return a number for each ensemble; `sets` (ensembles, size) holds their members."""

    def _variant(self) -> list[str]:
        """Return what a label says of settings that only this measure has."""
        return []

    def _summed(self, observation: Observation, who: str) -> Summed:
        seen = observation.description
        row = seen["parts"].index(self.config.part or "")
        totals, bins = (observation.tensors[f"{who}.{what}"][row] for what in ("totals", "bins"))
        return Summed(totals, bins, seen["images"][row], seen["classes"])
