"""What measures of losses have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from initbench.measures.measure import RecordMeasure
from initbench.plugin.initialiser import Config, ConfigT

if TYPE_CHECKING:
    from initbench.store.record import Record

TaskNumber = Annotated[
    int | None,
    Field(ge=1, description="which of several tasks that follow each other, from 1"),
]


class LossMeasure(RecordMeasure[ConfigT]):
    """A mean loss: squared error where numbers are predicted, else cross entropy in nats.

    A trial that diverged or failed has the loss of guessing: of always predicting the mean of the
    training labels, or every class with the same probability (rule 2). So has one whose loss is
    larger: it could guess, and a mean over trials would be that of the worst alone.
    """

    unit = "loss"
    direction = "lower"
    needs_classes = False
    Config = Config

    @abstractmethod
    def loss_of(self, record: Record) -> float:
        """Return the loss of a trial that is done, however large."""

    def of_record(self, record: Record) -> float:
        return min(self.loss_of(record), self.worst(record))

    def guessing(self, record: Record, split: str, task: int | None) -> float:
        """Return the loss of guessing; infinite where a trial failed before it was known."""
        place = f"{split}_loss" if task is None else f"{split}_loss.task_{task}"
        if (guessed := record.final.get(f"{place}.guessing")) is not None:
            return guessed  # a regression, of however many numbers
        return math.log(record.classes) if record.classes > 1 else math.inf


def why_no_such_task(task: int | None, recipe: Mapping[str, Any]) -> str | None:
    """Return why trials of a recipe do not have a task of this number; None where they have."""
    tasks = (recipe.get("continual") or {"tasks": 0})["tasks"]
    if task is None or task <= tasks:
        return None
    return f"the recipe trains {tasks or 'no'} tasks one after another, so there is no task {task}"
