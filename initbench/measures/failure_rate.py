"""Reliability: how often training goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.measures.measure import RecordMeasure
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Record


class FailureRate(RecordMeasure[Config]):
    """The share of trials that diverged or failed: 0 for a trial that is done, 1 for the others."""

    name = "failure_rate"
    summary = "Share of trials that diverged or failed."
    unit = "fraction"
    direction = "lower"
    needs_classes = False

    def of_record(self, record: Record) -> float:
        return 0.0

    def worst(self, record: Record) -> float:
        return 1.0
