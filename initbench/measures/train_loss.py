"""Loss on the training images, while they are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from initbench.errors import CorruptRecordError
from initbench.measures.loss import LossMeasure, TaskNumber, why_no_such_task
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Curve, Record


class TrainLossConfig(Config):
    """At the end of training, or of one of several tasks; or over all of it."""

    task: TaskNumber = None
    over: Annotated[
        Literal["end", "all"], Field(description="the last steps, or all: how fast, and how far")
    ] = "end"


class TrainLoss(LossMeasure[TrainLossConfig]):
    """The mean training loss over the steps since the last evaluation but one, or over all steps.

    With `task`, at the end of one of several tasks that are learnt one after another: how well it
    was learnt, whatever was forgotten of others (Chang et al. 2020, figure of section 5.2).
    """

    name = "train_loss"
    summary = "Training loss at the end, or at the end of one task."
    Config = TrainLossConfig

    def label(self) -> str:
        task = self.config.task
        label = self.name if task is None else f"{self.name}.task_{task}"
        return label if self.config.over == "end" else f"{label}.all"

    def misfit(self, recipe: Mapping[str, Any]) -> str | None:
        return why_no_such_task(self.config.task, recipe)

    def loss_of(self, record: Record) -> float:
        curve = record.curves.get("train_loss")
        if curve is None or curve.values[-1] is None:
            raise CorruptRecordError(
                f"record {record.key[:12]} is `{record.status.value}` but has no training loss; "
                "remove it and run the suite again"
            )
        within = self._within(curve, record)
        if not within:
            return self.worst(record)  # nobody looked during this task
        if self.config.over == "end":
            return within[-1][1]
        return sum(steps * loss for steps, loss in within) / sum(steps for steps, _ in within)

    def _within(self, curve: Curve, record: Record) -> list[tuple[int, float]]:
        """Return the losses at evaluations of the task, each with the steps it is a mean of."""
        begin, end = 0, inf
        if self.config.task is not None:
            epochs = record.identity["recipe"]["epochs"]
            begin, end = (self.config.task - 1) * epochs, self.config.task * epochs
        found = zip(curve.epochs, pairwise([0, *curve.steps]), curve.values, strict=True)
        return [
            (now - before, loss)
            for epoch, (before, now), loss in found
            if begin < epoch <= end and loss is not None
        ]

    def worst(self, record: Record) -> float:
        return self.guessing(record, "train", self.config.task)
