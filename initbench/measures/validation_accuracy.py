"""Accuracy on the validation split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from initbench.measures.curve import chance, validation_curve
from initbench.measures.measure import Measure
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Record


class ValidationAccuracyConfig(Config):
    """Which evaluation counts: the best, the last, or the one before training."""

    checkpoint: Literal["best", "last", "initial"] = "best"


class ValidationAccuracy(Measure[ValidationAccuracyConfig]):
    """The share of validation images that a network classifies correctly.

    The best one is a maximum over evaluations and so too high as an estimate of accuracy on new
    images; it is meant for choosing, and for comparing with published validation curves.
    """

    name = "validation_accuracy"
    summary = "Validation accuracy at the best evaluation, or another."
    unit = "fraction"
    direction = "higher"
    Config = ValidationAccuracyConfig

    def label(self) -> str:
        checkpoint = self.config.checkpoint
        return self.name if checkpoint == "best" else f"{self.name}.{checkpoint}"

    def of_record(self, record: Record) -> float:
        accuracies = [
            chance(record) if value is None else value for value in validation_curve(record).values
        ]
        match self.config.checkpoint:
            case "best":
                return max(accuracies)
            case "last":
                return accuracies[-1]
            case "initial":
                return accuracies[0]

    def worst(self, record: Record) -> float:
        return chance(record)
