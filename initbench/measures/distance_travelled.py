"""How far training moved the weights from where it began."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.measures.layers import LayerConfig, LayerMeasure, of_layers, of_network

if TYPE_CHECKING:
    from initbench.probes.probe import Observation, Probe
    from initbench.store.record import Record


class DistanceTravelledConfig(LayerConfig):
    """Where the way ends, and in which unit it is measured."""

    layer: Annotated[
        str | None,
        Field(min_length=1, description="its name in the network; by default all parameters"),
    ] = None
    checkpoint: Literal["best", "last"] = "last"
    scale: Annotated[
        Literal["relative", "absolute"],
        Field(description="in norms of the initial weights, or as it is"),
    ] = "relative"


class DistanceTravelled(LayerMeasure[DistanceTravelledConfig]):
    """The Euclidean distance |w_T - w_0| of trained weights from the initial ones.

    Of all parameters as one vector, or of the weight of one layer; by default over |w_0|. As in
    Nagarajan & Kolter (2019, "Generalization in deep networks: the role of distance from
    initialization"). That lower is called better is a convention: a start that is nearer to where
    training leads. Infinite where the initial weights are zero and distances are relative.
    """

    name = "distance_travelled"
    summary = "Distance of the trained weights from the initial ones."
    unit = "norms"
    direction = "lower"
    needs_classes = False
    Config = DistanceTravelledConfig

    def __init__(self, config: DistanceTravelledConfig) -> None:
        super().__init__(config)
        self.unit = "norms" if config.scale == "relative" else "distance"

    def probe(self) -> Probe:
        from initbench.probes.weights import Travel

        return Travel(self.config.checkpoint)

    def by_layer(self, observation: Observation) -> dict[str, float]:
        distances, starts = of_layers(observation, "distance"), of_layers(observation, "start")
        return {name: self._measured(x, starts[name]) for name, x in distances.items()}

    def of_observation(self, observation: Observation, record: Record) -> float | None:
        if self.config.layer is not None:
            return super().of_observation(observation, record)
        distance = of_network(observation, "total_distance")
        start = of_network(observation, "total_start")
        return None if distance is None or start is None else self._measured(distance, start)

    def _measured(self, distance: float, start: float) -> float:
        if self.config.scale == "absolute":
            return distance
        if start > 0:
            return distance / start
        return math.inf if distance > 0 else 0.0
