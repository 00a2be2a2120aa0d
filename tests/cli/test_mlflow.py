"""`initbench mlflow`: whole outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from initbench.cli import run_command
from initbench.store.store import Store
from tests import factories
from tests.tracking.worlds import all_records, runs, stored

MANIFEST = factories.manifest(seeds=(0, 1))
TO_SEE = "then choose `Model training` and the experiment `initbench`"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_sync_fills_mlflow_and_says_how_to_see_it(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    stored(Path("results"), all_records(MANIFEST), MANIFEST)
    uri = f"sqlite:///{in_tmp_path}/results/mlflow.db"
    for counts in ("4 trials written, 0 complete already", "0 trials written, 4 complete already"):
        assert run_command(["mlflow", "sync"]) == 0
        assert said(capsys) == (
            f"1 suite(s) in {uri}: {counts}, 0 runs closed\n"
            f"to see them: `mlflow ui --backend-store-uri {uri}`, {TO_SEE}\n"
        )
    assert [run.info.status for run in runs(uri)] == ["FINISHED"] * 5


def test_an_unreachable_server_is_a_warning(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    stored(Path("results"), all_records(MANIFEST), MANIFEST)
    assert run_command(["mlflow", "sync", "--uri", "http://me:s3cret@127.0.0.1:9"]) == 3
    first, second = said(capsys).splitlines()
    assert first.startswith("0 suite(s) in http://127.0.0.1:9: 0 trials written")
    assert second.startswith("warning: MLflow (http://127.0.0.1:9) lacks runs: ")
    assert "s3cret" not in second


def test_a_folder_without_suites_is_wrong_input(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["mlflow", "sync", "--results", "elsewhere"]) == 2
    assert said(capsys) == (
        "error: `elsewhere` holds no suite that was run; make one with `initbench run quickstart`, "
        "or name another folder with `--results`\n"
    )
    assert list(in_tmp_path.iterdir()) == []


def test_a_run_that_is_going_on_is_not_disturbed(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(Path("results"), all_records(MANIFEST), MANIFEST)
    with Store(Path("results")).lock("run quickstart"):
        assert run_command(["mlflow", "sync"]) == 2
    assert "error: the results folder `results` is in use by `run quickstart`" in said(capsys)
    assert not Path("results/mlflow.db").exists()


def test_a_plain_folder_as_tracking_uri_is_wrong_input(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    stored(Path("results"), all_records(MANIFEST), MANIFEST)
    assert run_command(["mlflow", "sync"]) == 2
    assert "mlflow migrate-filestore --source mlruns" in said(capsys)


@pytest.mark.parametrize("command", [["mlflow"], ["mlflow", "sync"]])
def test_help_ends_with_two_examples(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*command, "--help"]) == 0
    ending = capsys.readouterr().out.splitlines()[-3:]
    assert ending[0].strip() == "Examples:"
    assert all(line.strip().startswith("initbench mlflow sync") for line in ending[1:])
