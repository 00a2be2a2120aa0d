"""What measures must look at: once for all that need the same, refused where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from initbench.errors import UserError
from initbench.store.manifest import ObservationEntry
from initbench.suite.plan import Plan
from tests.suite.test_plan import every, none, plan_of

SUITE = """\
title: A suite
question: Which?
models: [zoo_cnn]
datasets: [digits]
initialisers: [default, he, {name: he, label: again}]
recipe: digits_quick
seeds: [7, 1, 4]
measures: [test_accuracy, MEASURES]
comparisons: {reference: default}
"""


def planned(folder: Path, *measures: str, **changes: str) -> Plan:
    text = SUITE.replace("MEASURES", ", ".join(measures))
    for old, new in changes.items():
        text = text.replace(old, new)
    return plan_of(folder, text)


def entries(plan: Plan, measure: str) -> list[ObservationEntry]:
    return [entry for entry in plan.manifest.observations if measure in entry.measures]


def test_measures_of_records_look_at_nothing(tmp_path: Path) -> None:
    plan = planned(tmp_path, "validation_accuracy")
    assert plan.observations == {}
    assert plan.manifest.observations == []


def test_measures_that_need_the_same_share_one_look_at_a_cell(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        "ensemble_accuracy",
        "ensemble_ece",
        "{name: ensemble_ece, confidence: true_label}",
        "ensemble_gain",
    )
    by_label = {entry.initialiser: entry for entry in plan.manifest.observations}
    assert len(plan.manifest.observations) == 3
    assert by_label["he"].measures == [
        "ensemble_accuracy",
        "ensemble_ece",
        "ensemble_ece.true_label",
        "ensemble_gain.accuracy",
    ]
    # Two labels that stand for the same trials are looked at once.
    assert by_label["he"].key == by_label["again"].key
    assert len(plan.observations) == 2


def test_trials_are_looked_at_together_in_the_order_of_their_seeds(tmp_path: Path) -> None:
    plan = planned(tmp_path, "ensemble_accuracy")
    (entry,) = [e for e in plan.manifest.observations if e.initialiser == "default"]
    seeds = {trial.key: trial.seed for trial in plan.manifest.trials}
    assert [seeds[key] for key in plan.observations[entry.key].trials] == [1, 4, 7]
    assert entry.seed is None


def test_a_probe_of_trials_looks_at_each_of_them(tmp_path: Path) -> None:
    plan = planned(tmp_path, "distance_travelled")
    found = [e for e in plan.manifest.observations if e.initialiser == "he"]
    assert sorted(e.seed for e in found if e.seed is not None) == [1, 4, 7]
    for entry in found:
        (key,) = plan.observations[entry.key].trials
        assert plan.trials[key].seed == entry.seed


def test_settings_of_the_probe_make_another_observation_and_the_labels_of_measures_do_not(
    tmp_path: Path,
) -> None:
    plan = planned(
        tmp_path, "ensemble_ece", "{name: ensemble_ece, size: 3}", "{name: ensemble_nll, size: 3}"
    )
    three = {e.key for e in entries(plan, "ensemble_ece.size=3")}
    assert three == {e.key for e in entries(plan, "ensemble_nll.size=3")}
    assert three.isdisjoint(e.key for e in entries(plan, "ensemble_ece"))


def test_images_of_another_data_set_come_at_the_size_of_the_training_images(
    tmp_path: Path,
) -> None:
    plan = planned(tmp_path, "{name: ensemble_ece, on: digits}", "ensemble_ece")
    assert len(plan.observations) == 2  # written out or not, they are the same images
    for observing in plan.observations.values():
        assert observing.data.size == 28
        assert observing.data.key == observing.trained_on
        assert observing.data.key in plan.data


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (
            "{name: ensemble_ece, on: cifar10c}",
            "suite.yaml:8:27: networks trained on `digits` cannot be looked at with the images of "
            "`cifar10c`: expected 1 channels, got 3",
        ),
        (
            "{name: ensemble_ece, on: pcam_small}",
            "networks trained on `digits` cannot be looked at with the images of `pcam_small`: "
            "expected 10 classes, got 2",
        ),
        ("{name: ensemble_ece, on: nowhere}", "`nowhere`"),
        ("{name: ensemble_ece, on: {name: cifar10c, severity: 6}}", "severity"),
        ("{name: ensemble_ece, part: fog}", "the test images of `digits` have no part `fog`"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_its_place(
    tmp_path: Path, measure: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        planned(tmp_path, measure)
    assert message in str(caught.value)


def test_what_was_looked_at_is_not_pending(tmp_path: Path) -> None:
    plan = planned(tmp_path, "ensemble_ece")
    left = plan.pending(every, every, every)
    assert (left.observations, left.trials, left.data) == ({}, {}, {})
    left = plan.pending(none, none, none)
    assert left.observations == plan.observations


def test_trials_whose_weights_are_gone_are_trained_again_to_be_looked_at(tmp_path: Path) -> None:
    plan = planned(tmp_path, "ensemble_ece")
    first, *others = plan.observations
    looked_at = set(plan.observations[first].trials)

    left = plan.pending(every, none, {*others, *plan.data}.__contains__)
    assert set(left.observations) == {first}
    assert set(left.trials) == looked_at

    left = plan.pending(every, every, {*others}.__contains__)
    assert left.trials == {}
    assert set(left.data) == set(plan.data)  # the images are needed all the same
