from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from initbench.store.store import Store
from tests import factories
from tests.store.worlds import in_child
from tests.tracking.worlds import all_records, stored, synced

# The threads of numerical libraries, which a child does not use.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

MANIFEST = factories.manifest()


def test_a_database_that_was_deleted_is_made_anew(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    # In another process: one that has a file open goes on writing to it when it is deleted.
    assert in_child(lambda: synced(store, manifest)) == 0
    (root / "mlflow.db").unlink()
    report = synced(store, manifest)
    assert (report.warning, report.trials_new) == (None, 6)
    assert [path.name for path in root.glob("mlflow.db*")] == ["mlflow.db"]


def test_a_results_folder_that_moved_is_not_written_to_at_its_old_place(
    root: Path, tmp_path: Path
) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    synced(store, manifest)
    moved = tmp_path / "moved"
    shutil.move(root, moved)
    report = synced(Store(moved), manifest)
    assert report.warning is not None
    assert "has moved" in report.warning
    assert f"delete it and `{moved}/mlflow-artifacts`" in report.warning
    assert not root.exists()


def test_a_results_folder_that_is_reached_by_a_link_has_not_moved(
    root: Path, tmp_path: Path
) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    synced(store, manifest)
    (tmp_path / "link").symlink_to(root)
    report = synced(Store(tmp_path / "link"), manifest)
    assert (report.warning, report.trials_skipped) == (None, 6)


def warned(root: Path, uri: str | None = None) -> str:
    """Sync where MLflow cannot be used; return the one warning, which must come soon."""
    store, manifest = stored(root, all_records(MANIFEST))
    begun = time.monotonic()
    report = synced(store, manifest, uri)
    assert time.monotonic() - begun < 20
    assert report.warning is not None
    assert report.trials_new == 0
    assert "\n" not in report.warning
    assert "`initbench mlflow sync`" in report.warning
    assert len(store.keys()) == 6
    return report.warning


def test_an_unreachable_server_gives_one_warning_without_credentials(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    root = tmp_path / "results"
    text = warned(root, "http://me:s3cret@127.0.0.1:9/x?token=t0ken")
    assert "127.0.0.1" in text
    assert "s3cret" not in text
    assert "t0ken" not in text
    assert not (root / "mlflow-ledger.json").exists()


def test_a_file_that_is_no_database_gives_one_warning(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    root = tmp_path / "results"
    root.mkdir()
    (root / "mlflow.db").write_text("this is no database, but it is long enough to look like one")
    assert "not a database" in warned(root)


def test_a_locked_database_gives_one_warning(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in warned(root)


def test_a_database_that_cannot_be_written_to_gives_one_warning(root: Path) -> None:
    (root / "mlflow.db").chmod(0o444)
    for folder in (root, *list(root.parents)[:-2]):
        folder.chmod(0o777)
    assert in_child(lambda: _warned_without_privileges(root)) == 0


def _warned_without_privileges(root: Path) -> None:
    if os.geteuid() == 0:
        import mlflow.tracking  # noqa: F401  (nobody else may be able to read it)

        os.setuid(65534)
    text = warned(root)
    assert "readonly" in text or "unable to open" in text


def test_an_old_schema_gives_the_command_that_brings_it_up_to_date(root: Path) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert f"mlflow db upgrade sqlite:///{root}/mlflow.db" in warned(root)


def test_without_mlflow_the_warning_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    assert '`mlflow` is not installed; `pip install "initbench[mlflow]"`' in warned(tmp_path)


def test_nothing_global_is_touched_and_nothing_printed(
    root: Path, capfd: pytest.CaptureFixture[str], in_tmp_path: Path
) -> None:
    import mlflow

    environment, uri = dict(os.environ), mlflow.get_tracking_uri()
    levels = {name: logging.getLogger(name).level for name in ("mlflow", "urllib3", "alembic")}
    before = set(in_tmp_path.rglob("*")) - set(root.rglob("*"))
    store, manifest = stored(root, all_records(MANIFEST))
    synced(store, manifest)
    synced(store, manifest, "http://127.0.0.1:9")
    assert dict(os.environ) == environment
    assert mlflow.get_tracking_uri() == uri
    assert mlflow.active_run() is None
    assert {n: logging.getLogger(n).level for n in levels} == levels
    assert set(in_tmp_path.rglob("*")) - set(root.rglob("*")) == before
    assert capfd.readouterr() == ("", "")
