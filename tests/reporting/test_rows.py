from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from initbench.errors import PluginError
from initbench.measures.test_accuracy import TestAccuracy, TestAccuracyConfig
from initbench.reporting import summarise
from initbench.statistics.interval import mean_interval
from initbench.store.record import Record, TrialStatus
from tests.factories import record
from tests.reporting.cases import ACCURACY, DEFAULT, HE, SPEED, row_of, suite, summary, trials


def test_rule_7_a_row_holds_mean_deviation_interval_and_quartiles() -> None:
    row = row_of(summary({"default": trials("default", DEFAULT)}), "default")
    assert (row.model, row.dataset, row.unit, row.direction) == (
        "zoo_cnn",
        "digits",
        "fraction",
        "higher",
    )
    assert (row.n, row.failed, row.missing, row.note) == (8, 0, 0, "")
    assert row.mean == pytest.approx(np.mean(DEFAULT))
    assert row.std == pytest.approx(np.std(DEFAULT, ddof=1))
    assert (row.low, row.high) == mean_interval(DEFAULT)
    assert (row.first_quartile, row.median, row.third_quartile) == pytest.approx(
        np.quantile(DEFAULT, [0.25, 0.5, 0.75])
    )
    assert row.values == dict(enumerate(DEFAULT))


def test_rule_2_failures_count_with_chance() -> None:
    cell = trials("he", HE)
    cell[1] = record(initialiser="he", seed=1, status=TrialStatus.DIVERGED)
    cell[2] = record(initialiser="he", seed=2, status=TrialStatus.FAILED, final={}, curves={})
    row = row_of(summary({"he": cell}, reference="he"), "he")
    assert (row.n, row.failed, row.missing) == (8, 2, 0)
    assert row.values == {**dict(enumerate(HE)), 1: 0.1, 2: 0.1}
    assert row.mean == pytest.approx(np.mean(list(row.values.values())))


def test_rule_3_lost_trials_and_trials_not_run_are_missing_not_scored() -> None:
    cell = trials("he", HE)
    cell[3] = record(initialiser="he", seed=3, status=TrialStatus.LOST, final={}, curves={})
    records = {trial.key: trial for trial in cell[:6]}  # the last two were not run
    results = summarise(suite({"he": cell}, reference="he"), records, [ACCURACY], {})
    row = row_of(results, "he")
    assert (row.n, row.failed, row.missing, row.note) == (5, 0, 3, "1 lost")
    assert list(row.values) == [0, 1, 2, 4, 5]
    statuses = ["done", "done", "done", "lost", "done", "done", "missing", "missing"]
    assert list(results.trials.values()) == statuses
    assert [(f["seed"], f["status"]) for f in results.failures] == [(3, "lost")]


def test_no_trial_and_one_trial() -> None:
    cell = trials("he", [0.9])
    empty = summarise(
        suite({"he": cell}, reference="he"),
        {},
        [
            ACCURACY,
        ],
        {},
    )
    nothing, one = row_of(empty, "he"), row_of(summary({"he": cell}, reference="he"), "he")
    assert (nothing.n, nothing.missing, nothing.mean, nothing.median) == (0, 1, None, None)
    assert nothing.note == "no trial yet"
    assert (one.n, one.mean, one.median, one.std, one.low) == (1, 0.9, 0.9, None, None)
    assert one.note == "one seed: no interval"


def test_rule_7_no_variance_has_no_interval() -> None:
    row = row_of(summary({"he": trials("he", [0.9] * 4)}, reference="he"), "he")
    assert (row.std, row.low, row.high) == (0.0, None, None)
    assert row.note == "no variance: no interval"


def test_rule_4_missed_targets_leave_the_median_and_say_the_restricted_mean() -> None:
    cell = trials("he", [0.95, 0.95, 0.95, 0.7])  # 0.9 * 0.95 is above the threshold, at step 22
    row = row_of(summary({"he": cell}, [SPEED], reference="he"), "he", "steps_to_0.8")
    assert row.values == {0: 22, 1: 22, 2: 22, 3: math.inf}
    assert (row.n, row.failed, row.mean, row.std, row.low) == (4, 0, None, None, None)
    assert (row.first_quartile, row.median, row.third_quartile) == (22, 22, None)
    assert row.note == (
        "the target is missed in 1 of 4 trials; mean 24.75 with a complete run for each miss"
    )


def test_rule_4_where_most_miss_there_is_no_median() -> None:
    cell = trials("he", [0.95, 0.7, 0.7, 0.7])
    row = row_of(summary({"he": cell}, [SPEED], reference="he"), "he", "steps_to_0.8")
    assert (row.first_quartile, row.median, row.third_quartile) == (None, None, None)


def test_rule_6_the_mean_curve_has_a_row_of_its_own() -> None:
    cells = {"default": trials("default", [0.95, 0.7]), "he": trials("he", [0.7, 0.7])}
    results = summary(cells, [SPEED])
    reached = row_of(results, "default", "steps_to_0.8.mean_curve")
    missed = row_of(results, "he", "steps_to_0.8.mean_curve")
    assert (reached.n, reached.mean, reached.low, reached.note) == (2, 33.0, None, "")
    assert (missed.n, missed.mean, missed.values) == (2, None, {})
    assert missed.note == "the mean curve never gets there"
    assert {c.measure for c in results.comparisons} == {"steps_to_0.8"}


def test_a_measure_that_returns_nan_is_named() -> None:
    class Broken(TestAccuracy):
        def of_record(self, record: Record) -> float:
            return math.nan

    cell: dict[str, Any] = {"he": trials("he", [0.9])}
    with pytest.raises(PluginError, match="`test_accuracy` is not a number for trial"):
        summary(cell, [Broken(TestAccuracyConfig())], reference="he")
