"""What the measures of the start-up microscope share: one look at the initial network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

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
    from initbench.probes.probe import Observation, Probe
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


StartUpConfigT = TypeVar("StartUpConfigT", bound=StartUpConfig)


class StartUpMeasure(LayerMeasure[StartUpConfigT]):
    """A measure of the layers of the initial network; equal settings share one look."""

    def probe(self) -> Probe:
        return start_up(self.config)


class VarianceMeasure(StartUpMeasure[StartUpConfig]):
    """How unequal the variances are that the look has under the name of the measure."""

    unit = "powers of ten"
    layer_unit = "variance"
    direction = "lower"
    logarithmic = True
    Config = StartUpConfig

    def by_layer(self, observation: Observation) -> dict[str, float]:
        return of_layers(observation, self.name)

    def scores(self, observation: Observation) -> dict[str, float]:
        return spread(self.by_layer(observation))

    def worst(self, record: Record) -> float | None:
        return worst_start(record, math.inf)


def start_up(config: ShownConfig) -> Probe:
    """Return the look that a configuration asks for."""
    from initbench.probes.start_up import StartUp

    return StartUp(config.batch, config.mode)
