"""Whether generated weights are copies of those that the generator was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.measures.layers import LayerConfig, LayerMeasure, of_layers

if TYPE_CHECKING:
    from initbench.probes.probe import Observation, Probe


class NearestNeighbourConfig(LayerConfig):
    """What distances are measured by."""

    relative_to: Annotated[
        Literal["zoo", "norm"],
        Field(description="mean distance between nearest networks of the zoo, or their norm"),
    ] = "zoo"


class NearestNeighbour(LayerMeasure[NearestNeighbourConfig]):
    """The distance of initial weights to the nearest of the zoo that the initialiser learnt from.

    Euclidean, layer by layer, and in units of the mean distance between a network of the zoo and
    its nearest neighbour there: 0 for a copy, about 1 for weights as new as another network of the
    zoo, below 1 where they are nearer (the check of Zeng et al. 2025, arXiv 2506.07998). Higher is
    better. By `norm`, it is a share of the typical norm in the zoo. Initialisers that learn from
    no zoo have no number, nor has a zoo without differences.
    """

    name = "nearest_neighbour"
    summary = "Distance of generated weights to the nearest weights learnt from: 0 is a copy."
    unit = "zoo distances"
    direction = "higher"
    needs_classes = False
    Config = NearestNeighbourConfig

    def __init__(self, config: NearestNeighbourConfig) -> None:
        super().__init__(config)
        self.unit = "zoo distances" if config.relative_to == "zoo" else "norms"

    def probe(self) -> Probe:
        from initbench.probes.nearest import NearestNeighbour as Look

        return Look()

    def by_layer(self, observation: Observation) -> dict[str, float]:
        unit = "between" if self.config.relative_to == "zoo" else "norm"
        units = of_layers(observation, unit)
        return {
            name: distance / units[name]
            for name, distance in of_layers(observation, "distance").items()
            if units[name] > 0
        }
