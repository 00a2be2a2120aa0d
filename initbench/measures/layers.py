"""Measures that have a number for each layer: what they share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

from pydantic import Field

from initbench.measures.measure import NetworkMeasure
from initbench.plugin.initialiser import Config
from initbench.store.record import TrialStatus

if TYPE_CHECKING:
    from initbench.probes.probe import Observation
    from initbench.store.record import Record


class LayerConfig(Config):
    """Which layer counts: one, by its name in the network, or by default the mean over all."""

    layer: Annotated[
        str | None, Field(min_length=1, description="its name in the network; by default all")
    ] = None


LayerConfigT = TypeVar("LayerConfigT", bound=LayerConfig)


class LayerMeasure(NetworkMeasure[LayerConfigT]):
    """A number for each layer of a network, and as that of the trial their mean, or one of them.

    A layer that the network does not have, or of which nothing is known, gives no number.
    """

    layer_unit: ClassVar[str] = ""
    """Of the numbers of layers, where it is not that of the measure."""
    logarithmic: ClassVar[bool] = False
    """Whether the numbers of layers are read in powers of ten."""

    def label(self) -> str:
        return labelled(self.name, self.config)

    @abstractmethod
    def by_layer(self, observation: Observation) -> dict[str, float]:
        """Return what is shown of each layer, by name, in forward order."""

    def scores(self, observation: Observation) -> dict[str, float]:
        """Return what counts of each layer; what is shown, where a measure says nothing else."""
        return self.by_layer(observation)

    def of_observation(self, observation: Observation, record: Record) -> float | None:
        scores = self.scores(observation)
        if self.config.layer is not None:
            return scores.get(self.config.layer)
        return fmean(scores.values()) if scores else None

    def worst(self, record: Record) -> float | None:
        return None


def labelled(name: str, config: Config) -> str:
    """Return a label of a configured variant: its name, and what was set otherwise than usual.

    >>> labelled("dead_units", LayerConfig(layer="conv1"))
    'dead_units.conv1'
    """
    fields = type(config).model_fields
    chosen = [
        (field, value)
        for field, value in ((f, getattr(config, f)) for f in fields)
        if value != fields[field].default
    ]
    return ".".join([name, *(_said(field, value) for field, value in chosen)])


def _said(field: str, value: object) -> str:
    return value if isinstance(value, str) else f"{field}={value}"


def of_layers(observation: Observation, quantity: str) -> dict[str, float]:
    """Return what a probe kept under `quantity`, by layer; nothing where it saw none."""
    names = observation.description["layers"].get(quantity, [])
    if not names:
        return {}
    return dict(zip(names, observation.tensors[quantity].tolist(), strict=True))


def of_network(observation: Observation, quantity: str) -> float | None:
    """Return what a probe kept of a network as a whole; None where it saw none."""
    tensor = observation.tensors.get(quantity)
    return None if tensor is None else float(tensor)


def spread(variances: Mapping[str, float]) -> dict[str, float]:
    """Return how many powers of ten each variance lies away from their geometric mean.

    Where one of them is zero or not finite, nothing passes through the network, and all are
    infinite.
    """
    if not all(math.isfinite(v) and v > 0 for v in variances.values()):
        return dict.fromkeys(variances, math.inf)
    powers = {name: math.log10(v) for name, v in variances.items()}
    centre = fmean(powers.values()) if powers else 0.0
    return {name: abs(power - centre) for name, power in powers.items()}


def worst_start(record: Record, score: float) -> float | None:
    """Return `score` for a trial that has no initial network, because its initialiser failed.

    A network that diverged in training did have one, and so has what was seen of it.
    """
    return score if record.status is TrialStatus.FAILED else None
