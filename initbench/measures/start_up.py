"""What the measures of the start-up microscope share: one look at the initial network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from initbench.measures.layers import (
    LayerConfig,
    LayerMeasure,
    of_layers,
    spread,
    worst_start,
)
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.probes.probe import Checkpoint, Observation, Probe
    from initbench.store.record import Record


class ShownConfig(Config):
    """What is shown to the initial network, and how."""

    batch: Annotated[int, Field(ge=2, description="training images that are shown")] = 128
    mode: Annotated[
        Literal["batch_statistics", "eval"],
        Field(description="whether batch norm uses the statistics of the batch, or its running"),
    ] = "batch_statistics"


class StartUpConfig(ShownConfig, LayerConfig):
    """What is shown to the initial network, and which of its layers counts."""


class VarianceConfig(StartUpConfig):
    """What is shown to which network, and which of its layers counts."""

    checkpoint: Annotated[
        Literal["initial", "best", "last"],
        Field(description="the weights that are looked at; those before training by default"),
    ] = "initial"


StartUpConfigT = TypeVar("StartUpConfigT", bound=StartUpConfig)


class StartUpMeasure(LayerMeasure[StartUpConfigT]):
    """A measure of the layers of the initial network; equal settings share one look."""

    def probe(self) -> Probe:
        return start_up(self.config)


class VarianceMeasure(StartUpMeasure[VarianceConfig]):
    """How unequal the variances are that the look has under the name of the measure."""

    quantity: ClassVar[Literal["activations", "gradients"]]
    """Whose variances they are; their histograms are shown as well."""
    unit = "powers of ten"
    layer_unit = "variance"
    direction = "lower"
    logarithmic = True
    needs_classes = False
    Config = VarianceConfig

    def probe(self) -> Probe:
        return start_up(self.config, self.config.checkpoint)

    def by_layer(self, observation: Observation) -> dict[str, float]:
        return of_layers(observation, self.name)

    def scores(self, observation: Observation) -> dict[str, float]:
        return spread(self.by_layer(observation))

    def quantiles(self, observation: Observation) -> dict[str, list[float]]:
        """Return the quantiles of the values of each layer, by name, in forward order."""
        layers = self.by_layer(observation)
        found = observation.tensors.get(f"{self.quantity.removesuffix('s')}_quantiles")
        return {} if found is None else dict(zip(layers, found.tolist(), strict=True))

    def worst(self, record: Record) -> float | None:
        return math.inf if self.config.checkpoint != "initial" else worst_start(record, math.inf)


def start_up(config: ShownConfig, checkpoint: Checkpoint = "initial") -> Probe:
    """Return the look that a configuration asks for."""
    from initbench.probes.start_up import StartUp

    return StartUp(config.batch, config.mode, checkpoint)
