from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from initbench.tracking import ledger
from initbench.tracking.location import VARIABLE, location
from initbench.tracking.mirror import sync
from tests import factories
from tests.tracking.worlds import all_records, results_of, runs, shown, stored, synced


def test_a_server_shows_what_sqlite_shows(
    server: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = factories.manifest(name="served", seeds=(0,))
    store, _ = stored(root, all_records(manifest), manifest)
    local = shown(synced(store, manifest).uri)
    monkeypatch.setenv(VARIABLE, server)
    report = synced(store, manifest)
    assert (report.uri, report.warning, report.trials_new) == (server, None, 2)
    assert shown(server) == local
    parent = runs(server)[0]
    address = f"{server}/get-artifact?path=suite.yaml&run_uuid={parent.info.run_id}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.read().decode() == manifest.source
    again = synced(store, manifest)
    assert (again.trials_new, again.trials_skipped, again.closed) == (0, 2, 0)
    assert shown(server) == local


def test_credentials_reach_the_server_and_nothing_else(server: str, root: Path) -> None:
    manifest = factories.manifest(name="secret", seeds=(0,))
    store, _ = stored(root, all_records(manifest), manifest)
    uri = server.replace("http://", "http://me:s3cret@")
    report = sync(store, location(root, uri), [(manifest, results_of(store, manifest))])
    assert (report.warning, report.trials_new, report.uri) == (None, 2, server)
    assert list(ledger.load(store.paths.mlflow_ledger).locations) == [server]
    for path in root.rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes()


def test_an_experiment_that_another_machine_makes_meanwhile_is_used(
    server: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    asked = MlflowClient.get_experiment_by_name
    answers = iter([None])
    monkeypatch.setattr(
        MlflowClient,
        "get_experiment_by_name",
        lambda self, name: next(answers, "later") and asked(self, name),
    )
    manifest = factories.manifest(name="raced", seeds=(0,))
    store, _ = stored(root, all_records(manifest), manifest)
    MlflowClient(tracking_uri=server).create_experiment("other")
    report = synced(store, manifest, server)
    assert report.warning is None
    search = urllib.request.Request(
        f"{server}/api/2.0/mlflow/experiments/search",
        json.dumps({"max_results": 100}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(search, timeout=10) as answer:
        names = [found["name"] for found in json.load(answer)["experiments"]]
    assert names.count("initbench") == 1
