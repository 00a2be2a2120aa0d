"""Accuracy on the test split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from initbench.errors import CorruptRecordError
from initbench.measures.curve import chance
from initbench.measures.measure import Measure
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Record


class TestAccuracyConfig(Config):
    """Which weights are tested: those with the best validation accuracy, the last, the first."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    checkpoint: Literal["best", "last", "initial"] = "best"


class TestAccuracy(Measure[TestAccuracyConfig]):
    """The share of test images that a network classifies correctly.

    The checkpoint is by default the first one with the highest validation accuracy, the weights
    before training included (Harder et al. 2023, as released).
    """

    __test__ = False

    name = "test_accuracy"
    summary = "Test accuracy of the checkpoint with the best validation accuracy, or another."
    unit = "fraction"
    direction = "higher"
    Config = TestAccuracyConfig

    def label(self) -> str:
        checkpoint = self.config.checkpoint
        return self.name if checkpoint == "best" else f"{self.name}.{checkpoint}"

    def of_record(self, record: Record) -> float:
        name = f"test_accuracy.{self.config.checkpoint}"
        if name not in record.final:
            raise CorruptRecordError(
                f"record {record.key[:12]} is `{record.status.value}` but has no number `{name}`; "
                "remove it and run the suite again"
            )
        return record.final[name]

    def worst(self, record: Record) -> float:
        return chance(record)
