from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from initbench.store.identity import digest
from initbench.store.record import Curve, Failure, Record, TrialStatus
from initbench.tracking.location import location
from initbench.tracking.mirror import Mirror, describe
from tests import factories
from tests.tracking.worlds import all_records, lose, results_of, runs, shown, stored, synced

MANIFEST = factories.manifest()


def test_a_suite_becomes_a_parent_run_and_a_child_for_each_trial(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    report = synced(store, manifest)
    assert report.warning is None
    assert (report.suites, report.trials_new, report.trials_skipped, report.closed) == (1, 6, 0, 0)
    parent, *children = runs(report.uri)
    assert parent.info.run_name == "quickstart"
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["initbench.suite_id"] == manifest.id
    assert "Does the rule" in parent.data.tags["mlflow.note.content"]
    assert len(children) == 6
    for child in children:
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.end_time - child.info.start_time == 1500  # milliseconds, as its cost says
    assert {child.data.tags["initbench.trial"] for child in children} == {
        entry.key for entry in manifest.trials
    }


def test_a_suite_lasts_from_its_first_trial_to_its_last(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    for i, key in enumerate(store.keys()):
        os.utime(store.paths.record(key), (1000 + i, 1000 + i))
    parent = runs(synced(store, manifest).uri)[0]
    assert (parent.info.start_time, parent.info.end_time) == (1_000_000 - 1500, 1_005_000)


def test_the_users_own_database_is_used(root: Path, in_tmp_path: Path) -> None:
    (root / "mlflow.db").rename(in_tmp_path / "own.db")
    store, manifest = stored(root, all_records(MANIFEST))
    report = synced(store, manifest, "sqlite:///own.db")
    assert (report.warning, report.uri, report.trials_new) == (None, "sqlite:///own.db", 6)
    assert len(runs("sqlite:///own.db")) == 7
    assert not list(root.glob("mlflow.db*"))
    assert list((in_tmp_path / "mlruns").rglob("suite.yaml"))  # MLflow's own default


def test_curves_numbers_and_files_arrive_unchanged(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    seen = shown(synced(store, manifest).uri)
    child = seen["he on zoo_cnn, digits, seed 1"]
    assert child["metrics"]["validation_loss"] == [(0, 2.3), (11, 1.2), (22, 0.6), (33, 0.4)]
    assert child["metrics"]["test_accuracy.best"] == [(0, 0.9)]
    assert child["params"]["seed"] == "1"
    assert seen["quickstart"]["artifacts"] == [
        "plots/convergence-zoo-cnn-digits.svg",
        "results.csv",
        "results.json",
        "suite.yaml",
        "trials.json",
    ]
    files = {path.name: path.read_text() for path in (root / "mlflow-artifacts").rglob("*.*")}
    assert files["suite.yaml"] == manifest.source
    assert files["convergence-zoo-cnn-digits.svg"].startswith("<svg")


def test_doing_it_again_changes_nothing(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    first = synced(store, manifest)
    seen, ids = shown(first.uri), {run.info.run_id for run in runs(first.uri)}
    second = synced(store, manifest)
    assert (second.trials_new, second.trials_skipped, second.closed) == (0, 6, 0)
    assert shown(first.uri) == seen
    assert {run.info.run_id for run in runs(first.uri)} == ids


def test_a_trial_that_comes_later_is_added_to_the_same_parent(root: Path) -> None:
    records = all_records(MANIFEST)
    store, manifest = stored(root, records[:-1])
    report = synced(store, manifest)
    (parent, *children) = runs(report.uri)
    assert (parent.info.status, len(children)) == ("KILLED", 5)
    stored(root, records[-1:])
    report = synced(store, manifest)
    assert (report.trials_new, report.trials_skipped) == (1, 5)
    after, *children = runs(report.uri)
    assert (after.info.run_id, after.info.status) == (parent.info.run_id, "FINISHED")
    assert len(children) == 6
    assert parent.data.tags["initbench.trials.missing"] == "1"
    assert after.data.tags["initbench.trials.missing"] == "0"


def test_a_lost_trial_that_was_trained_again_updates_its_run(root: Path) -> None:
    good = all_records(MANIFEST)
    lost = good[0].model_copy(
        update={
            "status": TrialStatus.LOST,
            "failure": Failure(kind="worker died", message="killed"),
            "curves": {},
            "final": {},
        }
    )
    store, manifest = stored(root, [lost, *good[1:]])
    report = synced(store, manifest)
    before = {run.data.tags.get("initbench.trial"): run for run in runs(report.uri)}[lost.key]
    assert (before.info.status, before.data.tags["initbench.status"]) == ("FAILED", "lost")
    stored(root, [good[0]])
    report = synced(store, manifest)
    assert (report.trials_new, report.trials_skipped) == (1, 5)
    after = {run.data.tags.get("initbench.trial"): run for run in runs(report.uri)}[lost.key]
    assert after.info.run_id == before.info.run_id
    assert (after.info.status, after.data.tags["initbench.status"]) == ("FINISHED", "done")
    assert after.data.metrics["test_accuracy.best"] == 0.9


def test_an_edited_suite_updates_the_same_parent_and_marks_what_left_it(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    (parent, *_) = runs(synced(store, manifest).uri)
    edited = factories.manifest(seeds=(0, 1), title="Another title")
    stored(root, [], edited)
    report = synced(store, edited)
    after, *children = runs(report.uri)
    assert after.info.run_id == parent.info.run_id
    assert after.data.tags["mlflow.note.content"].startswith("Another title")
    in_suite = [child.data.tags["initbench.in_suite"] for child in children]
    assert sorted(in_suite) == ["false", "false", "true", "true", "true", "true"]
    assert synced(store, MANIFEST).trials_new == 2  # back in the suite
    assert {run.data.tags.get("initbench.in_suite") for run in runs(report.uri)} == {None, "true"}


def test_a_metric_that_is_no_longer_defined_does_not_keep_its_old_value(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    uri = synced(store, manifest).uri
    name = "mean/test_accuracy/zoo_cnn/digits/he"
    assert runs(uri)[0].data.metrics[name] == pytest.approx(0.95, abs=0.05)
    alone = factories.manifest(initialisers=["default"])
    stored(root, [], alone)
    synced(store, alone)
    assert math.isnan(runs(uri)[0].data.metrics[name])


def test_a_renamed_initialiser_replaces_its_runs(root: Path) -> None:
    """Parameters of a run cannot be changed, so a new one takes its place."""
    store, manifest = stored(root, all_records(MANIFEST))
    uri = synced(store, manifest).uri
    trials = [
        entry.model_copy(update={"initialiser": "He"}) if entry.initialiser == "he" else entry
        for entry in manifest.trials
    ]
    renamed = manifest.model_copy(update={"trials": trials})
    assert synced(store, renamed).trials_new == 3
    children = runs(uri)[1:]
    assert sorted(c.data.params["initialiser"] for c in children) == ["He"] * 3 + ["default"] * 3


def test_two_suites_share_the_experiment_and_nothing_else(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    smoke = factories.manifest(profile="smoke", reduced=True, seeds=(0,))
    stored(root, [], smoke)
    synced(store, manifest)
    report = synced(store, smoke)
    assert (report.trials_new, report.trials_skipped) == (2, 0)
    by_suite: dict[str, int] = {}
    for run in runs(report.uri):
        name = run.data.tags["initbench.profile"] + "/" + run.data.tags["initbench.reduced"]
        by_suite[name] = by_suite.get(name, 0) + 1
    assert by_suite == {"/false": 7, "smoke/true": 3}


def test_runs_that_somebody_left_running_are_ended(root: Path) -> None:
    records = all_records(MANIFEST)
    store, manifest = stored(root, records)
    uri = synced(store, manifest).uri
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL")
    lose(root, records[0])
    report = synced(store, manifest)
    assert (report.closed, report.trials_new) == (7, 5)
    statuses = {run.data.tags.get("initbench.trial"): run.info.status for run in runs(uri)}
    assert statuses.pop(records[0].key) == "KILLED"
    assert statuses.pop(None) == "KILLED"  # the suite lacks a trial
    assert set(statuses.values()) == {"FINISHED"}


def test_runs_that_were_made_twice_become_one(root: Path) -> None:
    """Two machines that mirror to one server at once."""
    store, manifest = stored(root, all_records(MANIFEST))
    uri = synced(store, manifest).uri
    wanted = describe(store, manifest, results_of(store, manifest))
    mirror = Mirror(store, location(root))
    session = mirror.open(manifest)
    session._children.clear()  # as if the other had not made them yet
    key, run = next(iter(wanted.trials.items()))
    session.trial(key, run)
    assert len(runs(uri)) == 8
    assert synced(store, manifest).warning is None
    assert len(runs(uri)) == 7


def test_a_deleted_experiment_is_restored(root: Path) -> None:
    from mlflow.tracking import MlflowClient

    store, manifest = stored(root, all_records(MANIFEST))
    uri = synced(store, manifest).uri
    client = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.get_experiment_by_name("initbench").experiment_id)
    assert synced(store, manifest).warning is None
    assert len(runs(uri)) == 7


def test_hostile_labels_and_long_values_pass(root: Path) -> None:
    hostile = ["../../<script>", "a/b", "x" * 60, "new\nline", "ünï \U0001f600", "nul \0 byte"]
    manifest = factories.manifest(
        initialisers=hostile,
        seeds=(0,),
        title="</title>",
        source="title: \0\n",
        overrides=["recipe.epochs=3"],
    )
    records = [
        factories.record(
            initialiser=label,
            environment={"cpu": "y" * 9000, "a//b": 1},
            failure=Failure(kind="ValueError", message="m" * 50_000),
            status=TrialStatus.FAILED,
        )
        for label in hostile
    ]
    store, _ = stored(root, records, manifest)
    report = synced(store, manifest)
    assert report.warning is None
    parent, *children = runs(report.uri)
    assert {child.info.status for child in children} == {"FAILED"}
    assert len(children) == len(hostile)
    assert parent.info.run_name == "quickstart recipe.epochs=3"


def test_hundreds_of_parameters_and_metrics_are_split_into_calls(root: Path) -> None:
    config = {f"layer_{i}/../gain": "\0" * 7000 for i in range(250)}
    record = wide_record(config, curves=20, points=300)
    manifest = factories.manifest(initialisers=["he"], seeds=(0,))
    entry = manifest.trials[0].model_copy(update={"key": record.key})
    manifest = manifest.model_copy(update={"trials": [entry]})
    store, _ = stored(root, [record], manifest)
    report = synced(store, manifest)
    assert report.warning is None
    child = shown(report.uri)["he on zoo_cnn, digits, seed 0"]
    assert len(child["params"]) >= 250
    assert all(len(value) < 6000 for value in child["params"].values())
    assert len(child["metrics"]["curve_19"]) > 100


def wide_record(config: dict[str, Any], curves: int, points: int) -> Record:
    identity = {
        "initialiser": {"name": "he", "config": config},
        "model": {"name": "zoo_cnn"},
        "data": {"name": "digits"},
    }
    curve = Curve(
        steps=list(range(points)),
        epochs=[float(i) for i in range(points)],
        values=[1 / (i + 1) for i in range(points)],
    )
    return factories.record(
        key=digest(identity),
        identity=identity,
        curves={f"curve_{i}": curve for i in range(curves)},
    )
