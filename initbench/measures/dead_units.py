"""Units that no image activates, and no gradient reaches, from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.measures.layers import of_layers, worst_start
from initbench.measures.start_up import StartUpConfig, StartUpMeasure

if TYPE_CHECKING:
    from initbench.probes.probe import Observation
    from initbench.store.record import Record


class DeadUnits(StartUpMeasure[StartUpConfig]):
    """The share of units of a ReLU that are zero for all images of a batch, before training.

    The mean over the ReLUs (or ReLU6) of a network; a ReLU is called by the layer before it. A
    unit is a channel, wherever in the image, or an output of a linear layer. Such a unit has no
    gradient (Lu et al. 2019, "Dying ReLU and initialization", section 2). A network without ReLUs
    has no number.
    """

    name = "dead_units"
    summary = "Share of ReLU units that no image of a batch activates before training."
    unit = "fraction"
    direction = "lower"
    Config = StartUpConfig

    def by_layer(self, observation: Observation) -> dict[str, float]:
        return of_layers(observation, "dead_units")

    def worst(self, record: Record) -> float | None:
        return worst_start(record, 1.0)
