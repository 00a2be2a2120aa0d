"""Measures of losses, and what trials without an outcome have."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from initbench.errors import CorruptRecordError
from initbench.measures.test_loss import TestLoss, TestLossConfig
from initbench.measures.train_loss import TrainLoss, TrainLossConfig
from initbench.store.record import Curve, Record, TrialStatus
from tests.factories import record

RECIPE = {"epochs": 2, "continual": {"tasks": 2, "output_regulariser": 0.005}}
FINAL = {
    "test_loss.last": 0.3,
    "test_loss.initial": 1.2,
    "test_loss.task_1.after_1": 0.1,
    "test_loss.task_1.after_2": 0.4,
    "test_loss.guessing": 1.5,
    "train_loss.guessing": 1.4,
    "train_loss.task_2.guessing": 0.9,
}
CURVE = Curve(steps=[0, 3, 6, 9, 12], epochs=[0, 1, 2, 3, 4], values=[None, 0.8, 0.7, 0.6, 0.5])


def _record(**fields: Any) -> Record:
    plain = record(**{"final": FINAL, "classes": 1, "curves": {"train_loss": CURVE}, **fields})
    return plain.model_copy(update={"identity": {**plain.identity, "recipe": RECIPE}})


@pytest.mark.parametrize(
    ("config", "value", "label"),
    [
        ({}, 0.3, "test_loss"),
        ({"checkpoint": "initial"}, 1.2, "test_loss.initial"),
        ({"task": 1}, 0.4, "test_loss.task_1"),
        ({"task": 1, "after": 1}, 0.1, "test_loss.task_1.after_1"),
    ],
)
def test_the_test_loss_is_that_of_its_weights_or_of_its_task(
    config: dict[str, Any], value: float, label: str
) -> None:
    measure = TestLoss(TestLossConfig.model_validate(config))
    assert measure.of_record(_record()) == value
    assert measure.label() == label


@pytest.mark.parametrize(("task", "value"), [(None, 0.5), (1, 0.7), (2, 0.5)])
def test_the_training_loss_is_the_last_of_its_task(task: int | None, value: float) -> None:
    assert TrainLoss(TrainLossConfig(task=task)).of_record(_record()) == value


@pytest.mark.parametrize(("task", "value"), [(None, 0.65), (1, 0.75), (2, 0.55)])
def test_over_all_steps_it_is_their_mean(task: int | None, value: float) -> None:
    measure = TrainLoss(TrainLossConfig(task=task, over="all"))
    assert measure.of_record(_record()) == pytest.approx(value)
    assert measure.label() == ("train_loss.all" if task is None else f"train_loss.task_{task}.all")


def test_rule_2_a_failure_scores_the_loss_of_guessing() -> None:
    failed = _record(status=TrialStatus.DIVERGED)
    assert TestLoss(TestLossConfig()).worst(failed) == 1.5
    assert TrainLoss(TrainLossConfig(task=2)).worst(failed) == 0.9
    of_classes = _record(status=TrialStatus.FAILED, classes=10, final={})
    assert TestLoss(TestLossConfig()).worst(of_classes) == math.log(10)
    of_two_numbers = _record(status=TrialStatus.DIVERGED, classes=2)
    assert TestLoss(TestLossConfig()).worst(of_two_numbers) == 1.5
    nothing_known = _record(status=TrialStatus.FAILED, final={})
    assert TestLoss(TestLossConfig()).worst(nothing_known) == math.inf


def test_a_loss_beyond_that_of_guessing_counts_as_that() -> None:
    exploded = _record(final={**FINAL, "test_loss.last": 1e30})
    assert TestLoss(TestLossConfig()).of_record(exploded) == 1.5


def test_a_record_without_the_number_is_named() -> None:
    with pytest.raises(CorruptRecordError, match=r"`test_loss\.last`"):
        TestLoss(TestLossConfig()).of_record(_record(final={}))


@pytest.mark.parametrize(
    "config",
    [{"task": 1, "checkpoint": "best"}, {"after": 1}, {"task": 2, "after": 1}, {"task": 0}],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TestLossConfig.model_validate(config)


def test_a_task_that_the_recipe_does_not_train_is_a_misfit() -> None:
    assert TestLoss(TestLossConfig(task=2)).misfit(RECIPE) is None
    assert "2 tasks" in str(TestLoss(TestLossConfig(task=3)).misfit(RECIPE))
    assert "no tasks" in str(TrainLoss(TrainLossConfig(task=1)).misfit({"epochs": 1}))
