"""What a trained network costs in energy, everything included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from initbench.measures.layers import labelled
from initbench.measures.measure import CostMeasure
from initbench.measures.spent import SpentConfig, costs_of, energy_joules
from initbench.store.record import TrialStatus

if TYPE_CHECKING:
    from initbench.store.record import Cost, Record


class Energy(CostMeasure[SpentConfig]):
    """Energy of the GPU for one of n trainings: train + initialise + (zoo + fit) / n.

    From the counter of the device, where there is one (NVML) and no other process was seen on the
    device; elsewhere there is no number. A stack is shared equally by its trials. A trial that did
    not train to the end costs infinitely much. The account is that of docs/statistics.md, rule 29.
    """

    name = "energy"
    summary = "Energy of the GPU for a training, with initialising and a share of zoo and fit."
    unit = "kJ"
    direction = "lower"
    needs_classes = False
    Config = SpentConfig

    def label(self) -> str:
        return labelled(self.name, self.config)

    def of_costs(self, record: Record, before: Sequence[Cost] | None) -> float | None:
        if record.status is not TrialStatus.DONE:
            return math.inf
        if self.config.include == "train":
            return _kilojoules([record.cost])
        if before is None or record.initialise_cost is None:
            return None
        trial, shared = _kilojoules(costs_of(record)), _kilojoules(before)
        return None if trial is None or shared is None else trial + shared / self.config.trainings


def _kilojoules(costs: Sequence[Cost]) -> float | None:
    joules = energy_joules(costs)
    return None if joules is None else joules / 1000
