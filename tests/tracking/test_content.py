from __future__ import annotations

import dataclasses
import json
import math
import posixpath
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.store.record import Cost, Curve, Failure, Record, TrialStatus
from initbench.tracking.content import (
    LONGEST_VALUE,
    MOST_POINTS,
    TrialRun,
    clean,
    names,
    suite_run,
    thin,
    trial_run,
)
from tests import factories
from tests.tracking.worlds import stored

HOSTILE = [
    "a/../../etc",
    "/absolute",
    "..",
    "./x",
    "a//b",
    "ends/",
    "",
    " ",
    "<script>",
    "new\nline",
    "nul\0",
    "He (fan-out) ≥ 90 %",
    "lone \ud800 surrogate",
    "x" * 5000,
    "ünï",
]

IDENTITY = {
    "initialiser": {
        "name": "he",
        "config": {"mode": "fan_out", "gain": None, "exact": True},
        "code": {"distribution": "initbench", "version": "1"},
        "artifact": None,
    },
    "model": {"name": "zoo_cnn", "config": {"width": 8}, "code": {}},
    "data": {"name": "digits", "config": {}, "code": {}, "size": 8, "fingerprint": "f00"},
    "recipe": {"optimiser": {"name": "sgd", "lr": 0.1}, "schedule": {"milestones": [3, 6]}},
    "protocol": 1,
    "seed": 0,
}


def described(record: Record | None = None) -> TrialRun:
    manifest = factories.manifest()
    record = record or factories.record(initialiser="he")
    entry = next(e for e in manifest.trials if e.initialiser == "he")
    return trial_run(manifest, entry, record, ended_seconds=1_000_000.5)


@given(st.integers(0, 5000), st.integers(4, 400))
def test_thinning_keeps_the_ends_and_grows_apart(count: int, most: int) -> None:
    kept = thin(count, most)
    assert len(kept) <= most
    assert kept == sorted(set(kept))
    if count <= most:
        assert kept == list(range(count))
        return
    assert kept[:2] == [0, 1]
    assert kept[-1] == count - 1
    ratio = (count - 1) ** (1 / (most - 2))
    for before, after in pairwise(kept[1:]):
        assert after <= max(before + 1, ratio * (before + 0.5) + 0.5)


def test_a_long_curve_is_thinned_and_keeps_its_steps() -> None:
    count = 10_000
    curve = Curve(
        steps=[7 * i for i in range(count)],
        epochs=[float(i) for i in range(count)],
        values=[math.sin(i) for i in range(count)],
    )
    points = [
        p
        for p in described(factories.record(curves={"train_loss": curve})).metrics
        if p.name == "train_loss"
    ]
    assert 0.5 * MOST_POINTS < len(points) <= MOST_POINTS
    assert (points[0].step, points[-1].step) == (0, 7 * (count - 1))
    assert all(p.value == math.sin(p.step // 7) for p in points)


def test_undefined_values_of_a_curve_are_left_out() -> None:
    curve = Curve(steps=[0, 1, 2], epochs=[0, 1, 2], values=[1.0, None, math.inf])
    run = described(factories.record(curves={"train_loss": curve}))
    assert [(p.step, p.value) for p in run.metrics if p.name == "train_loss"] == [(0, 1.0)]


@given(st.lists(st.one_of(st.text(max_size=300), st.sampled_from(HOSTILE)), max_size=20))
def test_names_are_accepted_and_distinct(wanted: list[str]) -> None:
    accepted = names(wanted)
    assert set(accepted) == set(wanted)
    assert len(set(accepted.values())) == len(set(wanted))
    for name in accepted.values():
        # The rule of MLflow, from its documentation: letters, digits, _ - . / and spaces, and
        # nothing that a file system would resolve to another name.
        assert re.fullmatch(r"[\w.\-/ ]{1,250}", name)
        assert posixpath.normpath(name) == name
        assert not name.startswith(("/", ".."))
    assert names(reversed(wanted)) == accepted


def test_sensible_names_stay_as_they_are() -> None:
    sensible = ["test_accuracy.best", "mean/test_accuracy/zoo_cnn/digits/he", "steps to 0.9"]
    assert names(sensible) == {name: name for name in sensible}


def test_mlflow_accepts_hostile_names() -> None:
    pytest.importorskip("mlflow")
    from mlflow.utils.validation import _validate_metric_name, _validate_param

    for name in names(HOSTILE).values():
        _validate_metric_name(name)
        _validate_param(name, "x")


@given(st.one_of(st.text(), st.text().map(lambda t: t * 1000), st.sampled_from(HOSTILE)))
def test_values_are_cut_so_that_every_store_accepts_them(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= LONGEST_VALUE
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean(cleaned) == cleaned
    if "\0" not in text and len(text) <= LONGEST_VALUE and text.isascii():
        assert cleaned == text


def test_long_values_that_differ_at_their_end_stay_different() -> None:
    one, other = clean("x" * 9000 + "a"), clean("x" * 9000 + "b")
    assert one != other
    assert "9001 characters" in one


def test_parameters_say_what_the_trial_was() -> None:
    run = described(factories.record(identity=IDENTITY))
    assert run.params == {
        "trial": factories.record(initialiser="he").key,
        "seed": "0",
        "initialiser": "he",
        "initialiser.name": "he",
        "initialiser.mode": "fan_out",
        "initialiser.gain": "null",
        "initialiser.exact": "true",
        "initialiser.artifact": "null",
        "model": "zoo_cnn",
        "model.name": "zoo_cnn",
        "model.width": "8",
        "dataset": "digits",
        "dataset.name": "digits",
        "dataset.size": "8",
        "dataset.fingerprint": "f00",
        "recipe.optimiser.name": "sgd",
        "recipe.optimiser.lr": "0.1",
        "recipe.schedule.milestones": "[3, 6]",
    }


def test_tags_say_where_a_trial_comes_from() -> None:
    tags = described(factories.record(identity=IDENTITY)).tags
    assert tags["initbench.trial"] == factories.record(initialiser="he").key
    assert tags["initbench.suite_id"] == factories.manifest().id
    assert tags["initbench.scope"] == "pointwise"
    assert (tags["initbench.plugin"], tags["initbench.plugin_version"]) == ("initbench", "0.1.0")
    assert (tags["initbench.status"], tags["initbench.reduced"]) == ("done", "false")
    assert (tags["initbench.protocol"], tags["initbench.record_format"]) == ("1", "1")
    assert tags["initbench.environment.torch"] == "2.11.0"


def test_metrics_hold_final_numbers_cost_and_coverage() -> None:
    numbers = {p.name: p.value for p in described().metrics if p.step == 0}
    assert numbers["test_accuracy.best"] == 0.9
    assert numbers["cost.wall_seconds"] == 1.5
    assert numbers["coverage.generated"] == 0.9
    assert numbers["coverage.rule"] == pytest.approx(0.1)


@pytest.mark.parametrize("status", [s for s in TrialStatus if s is not TrialStatus.DONE])
def test_trials_without_result_are_visible(status: TrialStatus) -> None:
    failure = Failure(kind="nan", message="the loss became NaN\nat step 7")
    run = described(factories.record(status=status, failure=failure, curves={}, final={}))
    assert run.status == "FAILED"
    assert run.tags["initbench.status"] == status.value
    assert run.tags["initbench.failure"] == "nan: the loss became NaN\nat step 7"


def test_a_run_lasts_as_long_as_its_trial() -> None:
    run = described()
    assert (run.started_ms, run.ended_ms) == (1_000_000_500 - 1500, 1_000_000_500)


def test_a_start_before_1970_is_not_passed_on() -> None:
    cost = Cost(wall_seconds=1e12, device_seconds=0, peak_memory_bytes=0, images_seen=0, steps=0)
    assert described(factories.record(cost=cost)).started_ms == 0


def test_the_checksum_tells_contents_apart_and_ignores_times() -> None:
    manifest = factories.manifest()
    entry = next(e for e in manifest.trials if e.initialiser == "he")
    record = factories.record(initialiser="he")
    one = trial_run(manifest, entry, record, ended_seconds=1.0)
    assert one.checksum == trial_run(manifest, entry, record, ended_seconds=2.0).checksum
    renamed = entry.model_copy(update={"initialiser": "He"})
    others = [
        trial_run(manifest, renamed, record, ended_seconds=1.0),
        trial_run(manifest, entry, factories.record(initialiser="he", accuracy=0.8), 1.0),
    ]
    assert one.checksum not in {other.checksum for other in others}


def test_the_checksum_does_not_depend_on_whether_a_record_was_stored(tmp_path: Path) -> None:
    record = factories.record(initialiser="he")
    store, _ = stored(tmp_path, [record])
    read = store.record(record.key)
    assert read is not None
    assert list(read.final) != list(record.final)  # sorted by name
    assert described(read).checksum == described(record).checksum


def test_the_parent_run_shows_means_and_corrected_p_values() -> None:
    results = factories.results(initialisers=["default", "he"])
    run = suite_run(factories.manifest(), results, {"results.csv": "a,b"})
    row = next(r for r in results.rows if (r.measure, r.initialiser) == ("test_accuracy", "he"))
    comparison = next(c for c in results.comparisons if c.measure == "test_accuracy")
    assert run.metrics["mean/test_accuracy/zoo_cnn/digits/he"] == row.mean
    assert run.metrics["p_corrected/test_accuracy/zoo_cnn/digits/he"] == comparison.p_corrected
    assert set(run.artifacts) == {"suite.yaml", "trials.json", "results.csv"}
    assert len(json.loads(run.artifacts["trials.json"])) == 6
    assert run.tags["initbench.trials.done"] == "20"


def test_the_parent_run_shows_comparisons_without_the_reference_under_names_of_their_own() -> None:
    results = factories.results(initialisers=["default", "he", "lsuv"])
    comparison = next(c for c in results.comparisons if c.initialiser == "he")
    other = dataclasses.replace(comparison, reference="lsuv", p_corrected=0.25)
    results = dataclasses.replace(results, family="all", between_others=[other])
    run = suite_run(factories.manifest(), results, {})
    name = "p_corrected/test_accuracy/zoo_cnn/digits/he"
    assert run.metrics[f"{name}/to lsuv"] == 0.25
    assert run.metrics[name] == comparison.p_corrected


def test_means_that_are_not_defined_are_left_out() -> None:
    results = factories.results(initialisers=["default", "he"])  # the last one misses targets
    run = suite_run(factories.manifest(), results, {})
    assert "mean/steps_to_0.9/zoo_cnn/digits/default" in run.metrics
    assert "mean/steps_to_0.9/zoo_cnn/digits/he" not in run.metrics


def test_labels_with_slashes_do_not_change_the_levels_of_a_name() -> None:
    labels = ["c", "a/b", "a_b"]
    results = factories.results(initialisers=labels, models=["m/1"])
    run = suite_run(factories.manifest(initialisers=labels), results, {})
    assert all(name.count("/") == 4 for name in run.metrics)
    assert sum(name.startswith("mean/test_accuracy/") for name in run.metrics) == 3


@pytest.mark.parametrize(("missing", "status"), [(0, "FINISHED"), (1, "KILLED")])
def test_a_suite_is_finished_when_no_trial_is_missing(missing: int, status: str) -> None:
    trials = {"a": "done", "b": "missing" if missing else "diverged"}
    assert suite_run(factories.manifest(), factories.results(trials=trials), {}).status == status
