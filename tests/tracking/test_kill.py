"""A process is killed before some call to MLflow; the next one completes what it left."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.store.worlds import die, in_child
from tests.tracking.worlds import all_records, shown, stored, synced, with_database

# The threads of numerical libraries, which a child does not use.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

CALLS = ("create_experiment", "create_run", "update_run", "log_batch", "log_text", "set_terminated")
MANIFEST = factories.manifest(initialisers=["he", "default"], seeds=(0,))


def sync_and_die(root: Path, call: int) -> None:
    """Mirror a suite, but die before call number `call` that writes to MLflow."""
    from mlflow.tracking import MlflowClient

    count = itertools.count()

    def dying(wrapped: Any) -> Any:
        def method(*args: Any, **kwargs: Any) -> Any:
            if next(count) == call:
                die()
            return wrapped(*args, **kwargs)

        return method

    for name in CALLS:
        setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
    store, manifest = stored(root, all_records(MANIFEST), MANIFEST)
    synced(store, manifest)


def test_after_a_kill_at_any_call_a_sync_completes_everything(
    template: Path, tmp_path: Path
) -> None:
    undisturbed = with_database(tmp_path / "undisturbed", template)
    store, manifest = stored(undisturbed, all_records(MANIFEST), MANIFEST)
    wanted = shown(synced(store, manifest).uri)
    assert {run["status"] for run in wanted.values()} == {"FINISHED"}
    for call in itertools.count():
        root = with_database(tmp_path / f"killed-{call}", template)
        ended = in_child(lambda root=root, call=call: sync_and_die(root, call))
        store, _ = stored(root, [], MANIFEST)
        report = synced(store, manifest)
        assert report.warning is None
        assert shown(report.uri) == wanted
        assert synced(store, manifest).trials_new == 0
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert call >= 14  # an experiment, three runs, their contents and ends, five files


@pytest.mark.parametrize("seconds", [0.2, 0.6])
def test_a_kill_while_the_schema_is_made_leaves_no_broken_database(
    template: Path, tmp_path: Path, seconds: float
) -> None:
    root = tmp_path / "results"
    store, manifest = stored(root, all_records(MANIFEST), MANIFEST)

    def dying() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends the process
        synced(store, manifest)

    assert in_child(dying) == -signal.SIGALRM
    assert not (root / "mlflow.db").exists()
    assert (root / "mlflow.db.new").exists()
    report = synced(store, manifest)
    assert (report.warning, report.trials_new) == (None, 2)
    assert not (root / "mlflow.db.new").exists()


def test_a_planner_that_is_killed_leaves_runs_that_the_next_one_ends(
    template: Path, tmp_path: Path
) -> None:
    from initbench.tracking.background import BackgroundMirror

    root = with_database(tmp_path / "results", template)
    store, manifest = stored(root, all_records(MANIFEST), MANIFEST)

    def planner() -> None:
        mirror = BackgroundMirror(store, manifest)
        mirror.trial(all_records(MANIFEST)[0])
        while not (mirror._session and mirror._session.new):
            os.sched_yield()
        die()

    assert in_child(planner) == -signal.SIGKILL
    report = synced(store, manifest)
    assert (report.closed, report.trials_new, report.trials_skipped) == (1, 1, 1)
    assert {run["status"] for run in shown(report.uri).values()} == {"FINISHED"}
