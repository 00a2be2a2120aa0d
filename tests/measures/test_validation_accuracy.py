from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from initbench.measures.validation_accuracy import ValidationAccuracy, ValidationAccuracyConfig
from initbench.store.record import TrialStatus
from tests.factories import record
from tests.measures.test_curve import curve


@pytest.mark.parametrize(
    ("checkpoint", "value", "label"),
    [
        ("best", 0.9, "validation_accuracy"),
        ("last", 0.8, "validation_accuracy.last"),
        ("initial", 0.12, "validation_accuracy.initial"),
    ],
)
def test_each_checkpoint_has_its_number_and_its_label(
    checkpoint: Literal["best", "last", "initial"], value: float, label: str
) -> None:
    measure = ValidationAccuracy(ValidationAccuracyConfig(checkpoint=checkpoint))
    assert measure.of_record(record(curves=curve(0.12, None, 0.9, 0.8))) == value
    assert measure.label() == label


def test_rule_2_a_failure_scores_chance() -> None:
    measure = ValidationAccuracy(ValidationAccuracyConfig())
    assert measure.worst(record(status=TrialStatus.DIVERGED, classes=10)) == 0.1


def test_before_training_batch_statistics_may_be_asked_for() -> None:
    measure = ValidationAccuracy(
        ValidationAccuracyConfig(checkpoint="initial", mode="batch_statistics")
    )
    assert measure.label() == "validation_accuracy.initial.batch_statistics"
    number = {"validation_accuracy.initial_batch_statistics": 0.3}
    assert measure.of_record(record(curves=curve(0.1, 0.9), final=number)) == 0.3
    without_batch_norm = record(curves=curve(0.1, 0.9), final={})
    assert measure.of_record(without_batch_norm) == 0.1


def test_trained_networks_have_no_accuracy_with_batch_statistics() -> None:
    with pytest.raises(ValidationError, match="add `checkpoint: initial`"):
        ValidationAccuracyConfig(mode="batch_statistics")
