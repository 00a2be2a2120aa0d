"""Loss on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from initbench.measures.curve import final_number
from initbench.measures.loss import LossMeasure, TaskNumber, why_no_such_task
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Record


class TestLossConfig(Config):
    """Which weights are tested, or which task, and after which one was learnt."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    checkpoint: Literal["best", "last", "initial"] = "last"
    task: TaskNumber = None
    after: Annotated[
        int | None, Field(ge=1, description="the task that was learnt last; by default all were")
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> TestLossConfig:
        if self.task is not None and self.checkpoint != "last":
            raise ValueError("give `checkpoint` or `task`, not both")
        if self.after is not None and (self.task is None or self.after < self.task):
            raise ValueError("`after` goes with a `task`, that one or an earlier one")
        return self


class TestLoss(LossMeasure[TestLossConfig]):
    """The mean loss on the test split, of the last weights by default.

    With `task`, that on one of several tasks that were learnt one after another; `after` says when:
    `{task: 1, after: 1}` is how well it was learnt, `{task: 1}` how well it is remembered.
    """

    __test__ = False

    name = "test_loss"
    summary = "Mean loss on the test split, or on one task of it."
    Config = TestLossConfig

    def label(self) -> str:
        config = self.config
        if config.task is None:
            return self.name if config.checkpoint == "last" else f"{self.name}.{config.checkpoint}"
        label = f"{self.name}.task_{config.task}"
        return label if config.after is None else f"{label}.after_{config.after}"

    def misfit(self, recipe: Mapping[str, Any]) -> str | None:
        latest = self.config.task if self.config.after is None else self.config.after
        return why_no_such_task(latest, recipe)

    def loss_of(self, record: Record) -> float:
        config = self.config
        name = f"test_loss.{config.checkpoint}"
        if config.task is not None:
            after = config.after or record.identity["recipe"]["continual"]["tasks"]
            name = f"test_loss.task_{config.task}.after_{after}"
        return final_number(record, name)

    def worst(self, record: Record) -> float:
        return self.guessing(record, "test", self.config.task)
