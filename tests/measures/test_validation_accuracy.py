from __future__ import annotations

from typing import Literal

import pytest

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
