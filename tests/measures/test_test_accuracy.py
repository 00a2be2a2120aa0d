from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from initbench.errors import CorruptRecordError
from initbench.measures.measure import probe_of
from initbench.measures.test_accuracy import TestAccuracy, TestAccuracyConfig
from initbench.probes.correct_images import CorrectImages
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


def test_the_end_of_an_epoch_is_a_measure_of_its_own() -> None:
    measure = TestAccuracy(TestAccuracyConfig(epoch=25))
    assert measure.label() == "test_accuracy.epoch_25"
    assert measure.of_record(record(final={"test_accuracy.epoch_25": 0.5})) == 0.5


@pytest.mark.parametrize(
    ("tested", "epochs", "fits"), [([1, 25], 50, True), ([1], 50, False), ([25], 20, False)]
)
def test_a_recipe_that_does_not_test_then_is_refused_before_anything_is_trained(
    tested: list[int], epochs: int, fits: bool
) -> None:
    measure = TestAccuracy(TestAccuracyConfig(epoch=25))
    found = measure.misfit({"epochs": epochs, "evaluation": {"test_epochs": tested}})
    assert (found is None) is fits
    assert fits or "epoch 25" in str(found)


def test_an_epoch_and_a_checkpoint_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="not both"):
        TestAccuracyConfig(epoch=1, checkpoint="last")


def test_images_are_looked_at_only_where_that_is_asked_for() -> None:
    assert probe_of(TestAccuracy(TestAccuracyConfig())) is None
    asked = TestAccuracy(TestAccuracyConfig(checkpoint="last", test_images=True))
    assert probe_of(asked) == CorrectImages("last")
    assert asked.label() == "test_accuracy.last"


def test_no_images_are_looked_at_with_weights_that_nobody_keeps() -> None:
    with pytest.raises(ValidationError, match="no weights of an epoch are kept"):
        TestAccuracyConfig(epoch=25, test_images=True)
