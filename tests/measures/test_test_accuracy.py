from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from initbench.errors import CorruptRecordError
from initbench.measures.test_accuracy import TestAccuracy, TestAccuracyConfig
from initbench.store.record import TrialStatus
from tests.factories import record

FINAL = {"test_accuracy.best": 0.9, "test_accuracy.last": 0.8, "test_accuracy.initial": 0.1}


@pytest.mark.parametrize(
    ("checkpoint", "value", "label"),
    [
        ("best", 0.9, "test_accuracy"),
        ("last", 0.8, "test_accuracy.last"),
        ("initial", 0.1, "test_accuracy.initial"),
    ],
)
def test_each_checkpoint_has_its_number_and_its_label(
    checkpoint: Literal["best", "last", "initial"], value: float, label: str
) -> None:
    measure = TestAccuracy(TestAccuracyConfig(checkpoint=checkpoint))
    assert measure.of_record(record(final=FINAL)) == value
    assert measure.label() == label


def test_the_best_checkpoint_is_the_default() -> None:
    assert TestAccuracy(TestAccuracyConfig()).of_record(record(final=FINAL)) == 0.9


def test_rule_2_a_failure_scores_chance() -> None:
    failed = record(status=TrialStatus.FAILED, classes=2, final={})
    assert TestAccuracy(TestAccuracyConfig()).worst(failed) == 0.5


def test_a_record_without_the_number_is_named() -> None:
    broken = record(final={})
    with pytest.raises(CorruptRecordError, match=f"{broken.key[:12]}.*`test_accuracy.best`"):
        TestAccuracy(TestAccuracyConfig()).of_record(broken)


def test_an_unknown_checkpoint_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"'best', 'last' or 'initial'"):
        TestAccuracyConfig.model_validate({"checkpoint": "first"})
