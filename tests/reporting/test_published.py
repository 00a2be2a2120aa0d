"""Ours beside the papers: the right number, in the right unit, with what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from initbench.measures.measure import Measure
from initbench.measures.steps_to_threshold import StepsToThreshold, StepsToThresholdConfig
from initbench.measures.test_accuracy import TestAccuracy, TestAccuracyConfig
from initbench.reporting import published_to_json, summarise
from initbench.results import Beside, SuiteResults
from initbench.statistics.prediction import prediction_interval
from initbench.store.manifest import DatasetNote, MeasureNote, PublishedNote, TrialEntry
from initbench.store.record import Record, TrialStatus
from tests.factories import manifest, record

ACCURACY = TestAccuracy(TestAccuracyConfig())
SPEED = StepsToThreshold(StepsToThresholdConfig(threshold=0.65, unit="epoch"))
VALUES = [0.60, 0.64, 0.66, 0.70, 0.71]

SAMPLES = PublishedNote(  # measured at the end of training instead of after 25 epochs
    experiment="hyper_representation_in_dataset",
    only={"dataset": "mnist", "epoch": 25},
    measures={"test_accuracy": "test_accuracy"},
    datasets={"mnist": "digits"},
    initialisers={"B_T": "default", "S_KDE30": "he"},
)
SPEEDS = PublishedNote(
    experiment="convergence_speed",
    only={"dataset": "cifar10"},
    models={"resnet20": "zoo_cnn"},
    datasets={"cifar10": "digits"},
)


def trials(name: str, accuracies: Sequence[float], epochs: int = 25, **fields: Any) -> list[Record]:
    made = [record(initialiser=name, seed=s, accuracy=a) for s, a in enumerate(accuracies)]
    return [
        trial.model_copy(
            update={"identity": {**trial.identity, "recipe": {"epochs": epochs}}, **fields}
        )
        for trial in made
    ]


def results(
    cells: Mapping[str, Sequence[Record]],
    *links: PublishedNote,
    measures: Sequence[Measure[Any]] = (ACCURACY,),
    absent: Sequence[str] = (),
    **fields: Any,
) -> SuiteResults:
    """The results of a suite on `zoo_cnn` and `digits`; trials of `absent` have no record."""
    entries = [
        TrialEntry(key=trial.key, initialiser=name, model="zoo_cnn", dataset="digits", seed=seed)
        for name, made in cells.items()
        for seed, trial in enumerate(made)
    ]
    notes = [
        MeasureNote(name=m.name, config=m.config.model_dump(mode="json"), label=m.label())
        for m in measures
    ]
    stated: dict[str, Any] = {"trials": entries, "measures": notes, "published": list(links)}
    suite = manifest(initialisers=list(cells), **{**stated, **fields})
    found = {t.key: t for name, made in cells.items() if name not in absent for t in made}
    return summarise(suite, found, measures, {})


def of(found: SuiteResults, initialiser: str) -> Beside:
    (row,) = (row for row in found.beside if row.initialiser == initialiser)
    return row


def test_a_suite_that_repeats_nothing_has_nothing_beside_it() -> None:
    found = results({"default": trials("default", VALUES)})
    assert (found.beside, found.claims) == ([], [])


def test_percent_are_compared_as_fractions() -> None:
    row = of(results({"default": trials("default", VALUES)}, SAMPLES), "B_T")

    assert (row.published, row.published_std, row.unit) == (
        pytest.approx(0.833),
        pytest.approx(0.026),
        "fraction",
    )
    assert row.mean == pytest.approx(0.662)
    assert row.difference == pytest.approx(0.662 - 0.833)


def test_the_published_value_is_looked_for_in_the_prediction() -> None:
    cells = {"default": trials("default", VALUES), "he": trials("he", [0.9, 0.92, 0.94, 0.95, 1.0])}
    found = results(cells, SAMPLES)

    row = of(found, "B_T")  # 83.3 %, runs not stated: as for one
    assert (row.predicted_low, row.predicted_high) == prediction_interval(VALUES, 1)
    assert row.inside is False
    assert of(found, "S_KDE30").inside is True


def test_the_number_of_published_runs_narrows_the_prediction() -> None:
    link = PublishedNote(
        experiment="low_label_fine_tuning",
        only={"model": "resnet50"},
        models={"resnet50": "zoo_cnn"},
        datasets={"cifar10_1000_labels": "digits"},
        initialisers={"rand_he": "default"},
    )
    row = of(results({"default": trials("default", VALUES)}, link), "rand_he")

    assert row.published_n == 3
    assert (row.predicted_low, row.predicted_high) == prediction_interval(VALUES, 3)
    assert "5 trials, published 3" in row.conditions


def test_a_threshold_is_read_off_the_mean_curve() -> None:
    cells = {"he": trials("he", [0.9, 0.5])}
    found = results(cells, SPEEDS, measures=[SPEED], reference="he")

    row = next(r for r in found.beside if (r.initialiser, r.settings["threshold"]) == ("he", 0.65))
    assert (row.published, row.mean, row.unit) == (3.0, 3.0, "epochs")
    assert row.inside is None
    assert row.reason == "below 20 trials there is no prediction for a mean curve"


def test_from_twenty_trials_on_a_mean_curve_has_a_prediction() -> None:
    cells = {"he": trials("he", [0.9, 0.5] * 10)}
    found = results(cells, SPEEDS, measures=[SPEED], reference="he")

    row = next(r for r in found.beside if (r.initialiser, r.settings["threshold"]) == ("he", 0.65))
    assert (row.predicted_low, row.predicted_high) == (2.0, float("inf"))
    assert row.inside is True
    tree = published_to_json(found)["beside"]
    assert None in [line["predicted_high"] for line in tree]  # JSON knows no infinity


def test_a_measure_is_found_by_what_it_is_and_not_by_its_label() -> None:
    cells = {"he": trials("he", [0.9, 0.5])}
    other = StepsToThreshold(StepsToThresholdConfig(threshold=0.65, unit="step"))
    found = results(cells, SPEEDS, measures=[other], reference="he")

    reasons = {row.reason for row in found.beside if row.initialiser == "he"}
    assert reasons == {
        "the suite does not measure `steps_to_threshold` with unit: epoch, threshold: 0.65",
        "the suite does not measure `steps_to_threshold` with unit: epoch, threshold: 0.75",
    }


def test_a_link_may_name_another_measure_and_that_is_said() -> None:
    last = TestAccuracy(TestAccuracyConfig(checkpoint="last"))
    link = SAMPLES.model_copy(update={"measures": {"test_accuracy": "test_accuracy.last"}})
    row = of(results({"default": trials("default", VALUES)}, link, measures=[last]), "B_T")

    assert row.measure == "test_accuracy.last"
    assert "`test_accuracy.last` stands for test accuracy" in row.conditions


def test_a_measure_in_another_unit_is_shown_and_not_compared() -> None:
    link = SAMPLES.model_copy(update={"measures": {"test_accuracy": "steps_to_0.8"}})
    speed = StepsToThreshold(StepsToThresholdConfig(threshold=0.8))
    found = results({"default": trials("default", VALUES)}, link, measures=[speed])

    row = of(found, "B_T")
    assert (row.difference, row.inside) == (None, None)
    assert row.reason == "published in fraction, measured in steps: the two cannot be compared"


def test_what_differs_stands_beside_a_number() -> None:
    data = DatasetNote(
        label="digits",
        name="pcam",
        config={"fidelity": "paper"},
        summary="",
        citation="",
        url=None,
        licence="",
        fingerprint="",
        images={},
        marks=["unofficial data"],
    )
    link = SAMPLES.model_copy(update={"differs": ["Digits are not MNIST."]})
    broken = trials("default", VALUES, epochs=3)
    broken[0] = broken[0].model_copy(update={"status": TrialStatus.DIVERGED})
    row = of(
        results({"default": broken}, link, reduced=True, profile="smoke", datasets=[data]), "B_T"
    )

    assert row.conditions == [
        "reduced: profile `smoke`",
        "digits: unofficial data",
        "digits: fidelity paper",
        "Digits are not MNIST.",
        "`test_accuracy` stands for test accuracy",
        "trained for 3 epochs, published after 25",
        "5 trials; the paper does not say how many it ran",
        "1 of 5 trials diverged or failed",
    ]


def test_what_is_not_there_is_said() -> None:
    cells = {"default": trials("default", VALUES), "he": trials("he", VALUES)}
    found = results(
        cells, SAMPLES, absent=["he"], not_installed={"B_KDE30": "initbench-x is not installed"}
    )

    assert of(found, "S_KDE30").reason == "`he` has not run yet"
    assert of(found, "S_KDE").reason == "`S_KDE` is not in this run"
    assert of(found, "B_KDE30").reason == "`B_KDE30` is left out: initbench-x is not installed"
    assert of(found, "B_T").reason == ""


def test_a_model_or_data_set_that_is_not_in_the_run_is_named() -> None:
    cells = {"default": trials("default", VALUES)}
    elsewhere = SAMPLES.model_copy(update={"datasets": {}})
    assert of(results(cells, elsewhere), "B_T").reason == "the data set `mnist` is not in this run"


def test_the_epoch_of_a_published_value_chooses_the_measure() -> None:
    initial = TestAccuracy(TestAccuracyConfig(checkpoint="initial"))
    link = SAMPLES.model_copy(update={"only": {"dataset": "mnist"}, "measures": {}})
    found = results({"default": trials("default", VALUES)}, link, measures=[ACCURACY, initial])

    rows = {row.settings["epoch"]: row for row in found.beside if row.initialiser == "B_T"}
    assert rows[0].measure == "test_accuracy.initial"
    assert rows[25].reason == "the suite does not measure `test_accuracy` with epoch: 25"


def test_one_trial_predicts_nothing() -> None:
    row = of(results({"default": trials("default", [0.9])}, SAMPLES), "B_T")
    assert row.difference == pytest.approx(0.9 - 0.833)
    assert (row.inside, row.reason) == (None, "one trial predicts nothing")


def test_what_only_a_figure_shows_has_no_number() -> None:
    link = PublishedNote(
        experiment="accuracy",
        only={"dataset": "cifar10"},
        models={"resnet20": "zoo_cnn"},
        datasets={"cifar10": "digits"},
    )
    found = results({"he": trials("he", VALUES)}, link, reference="he")

    row = of(found, "he")
    assert (row.published, row.shown_as, row.difference) == (None, "box plots", None)
    assert row.mean == pytest.approx(0.662)


def test_a_bound_is_no_value() -> None:
    link = PublishedNote(
        experiment="pcam_small_transfer",
        models={"resnet20": "zoo_cnn"},
        datasets={"pcam_small": "digits"},
    )
    found = results({"noise_ghn": trials("noise_ghn", VALUES)}, link, reference="noise_ghn")

    row = next(row for row in found.beside if row.bound)
    assert (row.bound, row.difference, row.inside) == ("upper", None, None)
    assert row.reason == "initbench does not measure it"


def test_the_first_link_that_takes_a_value_counts() -> None:
    first = SAMPLES.model_copy(update={"only": {"dataset": "mnist", "epoch": 25}})
    second = SAMPLES.model_copy(update={"only": {"dataset": "mnist"}, "initialisers": {}})
    found = results({"default": trials("default", VALUES)}, first, second)

    by_epoch = {r.settings["epoch"]: r.label for r in found.beside if r.initialiser == "B_T"}
    assert by_epoch == {0: "B_T", 1: "B_T", 25: "default", 50: "B_T"}


def test_claims_are_checked_on_what_is_repeated() -> None:
    cells = {
        "default": trials("default", VALUES),
        "he": trials("he", [0.85, 0.86, 0.84, 0.9, 0.93]),
    }
    (claim,) = results(cells, SAMPLES).claims

    assert (claim.id, claim.verdict) == ("in_dataset_samples_above_scratch", "reproduced")
    assert [(p.first, p.second, p.measure) for p in claim.pairs] == [
        ("S_KDE30", "B_T", "test_accuracy")
    ]
    assert claim.conditions[-1] == "checked only on mnist, epoch 25: the suite repeats no more"


def test_a_claim_about_what_is_missing_is_undecided_with_the_reason() -> None:
    (claim,) = results({"default": trials("default", VALUES)}, SAMPLES).claims

    assert claim.verdict == "undecided"
    assert claim.reason == "`he` is not in this run"
