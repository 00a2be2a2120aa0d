"""What a trained network costs in time of the device, everything included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from initbench.measures.layers import labelled
from initbench.measures.measure import CostMeasure
from initbench.measures.spent import SpentConfig, costs_of, device_seconds, on_sharing
from initbench.store.record import TrialStatus

if TYPE_CHECKING:
    from initbench.store.record import Cost, Record


class DeviceSeconds(CostMeasure[SpentConfig]):
    """Device seconds of one of n trainings: train + initialise + (zoo + fit) / n.

    With `include: train`, those of training alone. The time of a stack is shared equally by its
    trials. On a CPU these are seconds of processor time. A trial that did not train to the end
    costs infinitely much: there is no network. The account is that of docs/statistics.md, rule 29.
    """

    name = "device_seconds"
    summary = "Device seconds of a training, with initialising and a share of zoo and fit."
    unit = "seconds"
    direction = "lower"
    needs_classes = False
    Config = SpentConfig

    def label(self) -> str:
        return labelled(self.name, self.config)

    def note(self, records: Sequence[Record]) -> str:
        return on_sharing(records)

    def of_costs(self, record: Record, before: Sequence[Cost] | None) -> float | None:
        if record.status is not TrialStatus.DONE:
            return math.inf
        if self.config.include == "train":
            return device_seconds([record.cost])
        if before is None or record.initialise_cost is None:
            return None
        return device_seconds(costs_of(record)) + device_seconds(before) / self.config.trainings
