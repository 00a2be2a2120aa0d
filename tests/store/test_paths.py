"""Every path lies inside the results folder, whatever the names are."""

from __future__ import annotations

from pathlib import Path

import pytest

from initbench.errors import StoreError
from initbench.store.paths import StorePaths, files_in, folders_in, keys_in
from tests.store.worlds import KEY

HOSTILE = [
    "",
    "ab",
    "../" * 20 + "etc/passwd",
    "/etc/passwd",
    "." * 64,
    "../" + KEY[3:],
    KEY.upper(),
    KEY + "\n",
    KEY + "0",
    KEY[:-1] + "\0",
    KEY[:-1] + "٣",  # a digit, but not one of ours
    KEY[:-1] + "/",
]


def test_the_layout_is_the_documented_one() -> None:
    paths = StorePaths(Path("results"))
    assert [
        paths.relative(path)
        for path in (
            paths.lock,
            paths.record(KEY),
            paths.blob(KEY),
            paths.artifact(KEY),
            paths.claim(KEY),
            paths.spool,
            paths.quarantine,
            paths.manifest(KEY[:16]),
            paths.log("worker-0"),
            paths.mlflow_database,
            paths.mlflow_artifacts,
            paths.mlflow_ledger,
            paths.leaderboard,
        )
    ] == [
        "lock",
        f"records/ab/{KEY}.json",
        f"blobs/ab/{KEY}.safetensors",
        f"artifacts/ab/{KEY}.json",
        f"claims/{KEY}.json",
        "spool",
        "quarantine",
        "suites/abababababababab.json",
        "logs/worker-0.log",
        "mlflow.db",
        "mlflow-artifacts",
        "mlflow-ledger.json",
        "leaderboard",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_are_no_digests_never_become_paths(name: str) -> None:
    paths = StorePaths(Path("results"))
    for make in (paths.record, paths.blob, paths.artifact, paths.claim, paths.manifest):
        with pytest.raises(StoreError, match="expected"):
            make(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "x" * 101, "a\nb", "é"])
def test_names_of_logs_stay_in_their_folder(name: str) -> None:
    with pytest.raises(StoreError, match="cannot name a log"):
        StorePaths(Path("results")).log(name)


def test_listing_skips_what_is_not_ours_and_misses_nothing(tmp_path: Path) -> None:
    assert keys_in(tmp_path / "missing") == []
    assert folders_in(tmp_path / "missing") == []
    for name in (f"{KEY}.json", f"{'0' * 64}.json", "notes.json", f".{KEY}.json", f"{KEY}.tmp"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    assert keys_in(tmp_path) == ["0" * 64, KEY]
    assert folders_in(tmp_path) == [tmp_path / "folder"]
    assert [path.name for path in files_in(tmp_path, ".tmp")] == [f"{KEY}.tmp"]


def test_a_listing_that_fails_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot read the folder"):
        keys_in(tmp_path / "file")
