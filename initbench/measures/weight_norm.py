"""How large the weights are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from initbench.measures.layers import LayerConfig, LayerMeasure, of_layers

if TYPE_CHECKING:
    from initbench.probes.probe import Observation, Probe


class WeightNormConfig(LayerConfig):
    """Which weights are looked at."""

    checkpoint: Literal["initial", "best", "last"] = "initial"


class WeightNorm(LayerMeasure[WeightNormConfig]):
    """The Euclidean norm |W_l| of the weight of each layer, and their mean.

    That lower is called better is a convention: with equal accuracy, the smaller network is the
    simpler one (Bartlett 1998, IEEE Trans. Inf. Theory 44). Norms of layers before a norm layer
    change nothing that the network computes.
    """

    name = "weight_norm"
    summary = "Euclidean norm of the weights of a layer."
    unit = "norm"
    direction = "lower"
    needs_classes = False
    Config = WeightNormConfig

    def probe(self) -> Probe:
        from initbench.probes.weights import Weights

        return Weights(self.config.checkpoint)

    def by_layer(self, observation: Observation) -> dict[str, float]:
        return of_layers(observation, "norm")
