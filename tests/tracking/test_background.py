from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from initbench.store.record import Failure, TrialStatus
from initbench.store.store import Store
from initbench.tracking.background import BackgroundMirror
from initbench.tracking.location import VARIABLE
from tests import factories
from tests.tracking.worlds import all_records, results_of, runs, shown, stored, synced

MANIFEST = factories.manifest()


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "mlflow-mirror"]


def test_runs_appear_while_the_suite_runs(root: Path) -> None:
    records = all_records(MANIFEST)
    store, manifest = stored(root, records[:2])
    mirror = BackgroundMirror(store, manifest)
    assert not threads()  # nothing to do yet
    for record in records[:2]:
        mirror.trial(record)
    uri = f"sqlite:///{root}/mlflow.db"
    wait_for(lambda: mirror._session and mirror._session.new == 2)
    parent, *children = runs(uri)
    assert (parent.info.status, len(children)) == ("RUNNING", 2)
    stored(root, records[2:])
    for record in records[2:4]:  # the others were cached
        mirror.trial(record)
    left: list[int] = []
    report = mirror.finish(results_of(store, manifest), waiting=left.append)
    assert (report.warning, report.suites, report.trials_new) == (None, 1, 6)
    assert left == sorted(left, reverse=True)
    assert not threads()
    seen = shown(uri)
    assert {run["status"] for run in seen.values()} == {"FINISHED"}
    assert synced(store, manifest).trials_skipped == 6
    assert shown(uri) == seen


def test_trials_of_zoos_are_not_mirrored(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    mirror = BackgroundMirror(store, manifest)
    mirror.trial(factories.record(initialiser="zoo", seed=7))
    assert not threads()
    assert mirror.finish(results_of(store, manifest)).trials_new == 6


def test_a_trial_that_is_lost_and_then_done_has_one_run(root: Path) -> None:
    good = all_records(MANIFEST)[0]
    lost = good.model_copy(
        update={"status": TrialStatus.LOST, "failure": Failure(kind="died", message="killed")}
    )
    manifest = factories.manifest(initialisers=["default"], seeds=(0,))
    store, _ = stored(root, [lost], manifest)
    mirror = BackgroundMirror(store, manifest)
    mirror.trial(lost)
    wait_for(lambda: mirror._session and mirror._session.new == 1)
    stored(root, [good], manifest)
    mirror.trial(good)
    report = mirror.finish(results_of(store, manifest))
    assert report.warning is None
    (_, child) = runs(report.uri)
    assert (child.info.status, child.data.tags["initbench.status"]) == ("FINISHED", "done")


def test_a_repeated_run_needs_no_mlflow(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    synced(store, manifest)
    script = """
        import sys
        from pathlib import Path
        from initbench.store.store import Store
        from initbench.tracking.background import BackgroundMirror
        from tests import factories
        from tests.tracking.worlds import results_of

        store, manifest = Store(Path(sys.argv[1])), factories.manifest()
        report = BackgroundMirror(store, manifest).finish(results_of(store, manifest))
        assert (report.warning, report.suites, report.trials_skipped) == (None, 1, 6), report
        heavy = {"mlflow", "torch", "scipy"} & set(sys.modules)
        assert not heavy, heavy
    """
    place = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), root], cwd=place, check=True, timeout=60
    )


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A tracking server that takes connections and never answers, until it is closed."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield listener


def test_a_server_that_never_answers_does_not_keep_the_run_waiting(
    silent_server: socket.socket, tmp_path: Path
) -> None:
    store, manifest = stored(tmp_path, all_records(MANIFEST))
    mirror = BackgroundMirror(store, manifest)
    mirror.trial(all_records(MANIFEST)[0])
    report = mirror.finish(results_of(store, manifest), seconds=0.5)
    assert report.warning is not None
    assert "took longer than" in report.warning
    assert len(threads()) == 1
    silent_server.close()
    wait_for(lambda: not threads())


def test_ctrl_c_while_waiting_ends_the_waiting_only(
    silent_server: socket.socket, tmp_path: Path
) -> None:
    store, manifest = stored(tmp_path, all_records(MANIFEST))

    def press(left: int) -> None:
        raise KeyboardInterrupt

    report = BackgroundMirror(store, manifest).finish(results_of(store, manifest), waiting=press)
    assert report.warning is not None
    assert "interrupted" in report.warning
    silent_server.close()
    wait_for(lambda: not threads())


def test_stopping_ends_the_parent_run_and_leaves_the_rest_for_later(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    mirror = BackgroundMirror(store, manifest)
    mirror.trial(all_records(MANIFEST)[0])
    wait_for(lambda: mirror._session and mirror._session.new == 1)
    mirror.stop()
    assert not threads()
    parent, *children = runs(f"sqlite:///{root}/mlflow.db")
    assert (parent.info.status, len(children)) == ("KILLED", 1)
    report = synced(store, manifest)
    assert (report.trials_new, report.trials_skipped) == (5, 1)
    assert runs(report.uri)[0].info.status == "FINISHED"


def test_stopping_before_anything_was_mirrored_does_nothing(tmp_path: Path) -> None:
    BackgroundMirror(Store(tmp_path), MANIFEST).stop()
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_never_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv(VARIABLE, "http://me:s3cret@127.0.0.1:9")
    store, manifest = stored(tmp_path, all_records(MANIFEST))
    mirror = BackgroundMirror(store, manifest)
    for record in all_records(MANIFEST):
        mirror.trial(record)
    report = mirror.finish(results_of(store, manifest))
    assert report.warning is not None
    assert report.warning.startswith("MLflow (http://127.0.0.1:9) lacks runs")
    assert "s3cret" not in report.warning


def test_a_plain_folder_is_a_warning_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mlruns"))
    store, manifest = stored(tmp_path / "results", all_records(MANIFEST))
    mirror = BackgroundMirror(store, manifest)
    mirror.trial(all_records(MANIFEST)[0])
    report = mirror.finish(results_of(store, manifest))
    assert report.warning is not None
    assert "mlflow migrate-filestore" in report.warning
    assert not (tmp_path / "mlruns").exists()


def test_without_mlflow_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    store, manifest = stored(tmp_path, all_records(MANIFEST))
    mirror = BackgroundMirror(store, manifest)
    mirror.trial(all_records(MANIFEST)[0])
    report = mirror.finish(results_of(store, manifest))
    assert report.warning is not None
    assert 'pip install "initbench[mlflow]"' in report.warning


def test_the_environment_is_as_before_when_the_thread_has_ended(root: Path) -> None:
    before = dict(os.environ)
    store, manifest = stored(root, all_records(MANIFEST))
    BackgroundMirror(store, manifest).finish(results_of(store, manifest))
    assert dict(os.environ) == before
