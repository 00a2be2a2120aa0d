"""Whether gradients keep their size on the way back through the initial network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from initbench.measures.layers import of_layers, spread, worst_start
from initbench.measures.start_up import StartUpConfig, StartUpMeasure

if TYPE_CHECKING:
    from initbench.probes.probe import Observation
    from initbench.store.record import Record


class GradientVariance(StartUpMeasure[StartUpConfig]):
    """How unequal the variances of gradients are over layers, before training.

    As `activation_variance`, of the gradient of each image's loss with respect to the responses of
    a layer: equation 9 of Glorot & Bengio (2010), equations 13 and 14 of He et al. (2015).
    """

    name = "gradient_variance"
    summary = "How unequal the gradient variances of layers are before training."
    unit = "powers of ten"
    layer_unit = "variance"
    direction = "lower"
    logarithmic = True
    Config = StartUpConfig

    def by_layer(self, observation: Observation) -> dict[str, float]:
        return of_layers(observation, "gradient_variance")

    def scores(self, observation: Observation) -> dict[str, float]:
        return spread(self.by_layer(observation))

    def worst(self, record: Record) -> float | None:
        return worst_start(record, math.inf)
