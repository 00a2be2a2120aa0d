"""Accuracy on the validation split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from initbench.measures.curve import chance, validation_curve
from initbench.measures.measure import RecordMeasure
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Record


class ValidationAccuracyConfig(Config):
    """Which evaluation counts: the best, the last, or the one before training."""

    checkpoint: Literal["best", "last", "initial"] = "best"
    mode: Annotated[
        Literal["eval", "batch_statistics"],
        Field(description="what batch norm uses; the statistics of batches only before training"),
    ] = "eval"

    @model_validator(mode="after")
    def _batch_statistics_are_for_the_start(self) -> Self:
        if self.mode == "batch_statistics" and self.checkpoint != "initial":
            raise ValueError(
                "records have no accuracy with the statistics of batches but that before training; "
                "add `checkpoint: initial`"
            )
        return self


class ValidationAccuracy(RecordMeasure[ValidationAccuracyConfig]):
    """The share of validation images that a network classifies correctly.

    The best one is a maximum over evaluations and so too high as an estimate of accuracy on new
    images; it is meant for choosing, and for comparing with published validation curves.

    Before training, batch norm has no running statistics yet (mean 0, variance 1), and a network
    is at chance in eval mode, whatever its weights: `mode: batch_statistics` evaluates it with the
    statistics of large batches instead, as work on predicted weights does (Knyazev et al. 2021,
    arXiv 2110.13100). Without batch norm the two are the same.
    """

    name = "validation_accuracy"
    summary = "Validation accuracy at the best evaluation, or another."
    unit = "fraction"
    direction = "higher"
    Config = ValidationAccuracyConfig

    def label(self) -> str:
        checkpoint = self.config.checkpoint
        label = self.name if checkpoint == "best" else f"{self.name}.{checkpoint}"
        return label if self.config.mode == "eval" else f"{label}.{self.config.mode}"

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
                if self.config.mode == "eval":
                    return accuracies[0]
                name = "validation_accuracy.initial_batch_statistics"
                return record.final.get(name, accuracies[0])  # left out without batch norm

    def worst(self, record: Record) -> float:
        return chance(record)
