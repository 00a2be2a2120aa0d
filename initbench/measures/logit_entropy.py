"""Whether a network has made up its mind before it has learnt anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from initbench.measures.layers import labelled, of_network, worst_start
from initbench.measures.measure import NetworkMeasure
from initbench.measures.start_up import ShownConfig, start_up

if TYPE_CHECKING:
    from initbench.probes.probe import Observation, Probe
    from initbench.store.record import Record


class LogitEntropy(NetworkMeasure[ShownConfig]):
    """The entropy -sum p ln p of predicted class probabilities, mean over images, before training.

    In nats: ln(classes) where all classes are equally likely, 0 where the network is certain. A
    start far below it begins with a loss above ln(classes), and with units that saturate. Logits
    that are not finite count as certain.
    """

    name = "logit_entropy"
    summary = "Mean entropy of the predicted probabilities before training."
    unit = "nats"
    direction = "higher"
    Config = ShownConfig

    def label(self) -> str:
        return labelled(self.name, self.config)

    def probe(self) -> Probe:
        return start_up(self.config)

    def of_observation(self, observation: Observation, record: Record) -> float | None:
        entropy = of_network(observation, "logit_entropy")
        return 0.0 if entropy is not None and not math.isfinite(entropy) else entropy

    def worst(self, record: Record) -> float | None:
        return worst_start(record, 0.0)
