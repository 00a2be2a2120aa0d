"""`initbench doctor` names what is wrong and what repairs it, and survives all of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from initbench import doctor
from initbench.cli import run_command
from initbench.doctor import Finding, examine
from initbench.store.store import Store
from tests import factories
from tests.plugin.worlds import World, good, world

__all__ = ["world"]


def found(results: Path, subject: str) -> list[Finding]:
    return list(examine(results, [subject]))


def test_on_a_sound_machine_nothing_is_wrong(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INITBENCH_DATA", raising=False)
    assert run_command(["doctor"]) == 0
    out = capsys.readouterr().out
    for subject in ("python", "torch", "devices", "data", "plugins", "results", "mlflow"):
        assert f" {subject} " in out
    assert "WRONG" not in out
    assert not (in_tmp_path / "results").exists()


def test_a_torchvision_that_does_not_fit_is_reported_with_the_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        message = "RuntimeError: operator torchvision::nms does not exist"
        return subprocess.CompletedProcess([], 1, "", f"Traceback ...\n{message}\n")

    monkeypatch.setattr(doctor.subprocess, "run", fail)
    (finding,) = found(tmp_path, "torch")
    assert finding.state == "wrong"
    assert "torchvision::nms" in finding.what
    assert finding.repair == "pip install --force-reinstall torch torchvision"


def test_a_data_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITBENCH_DATA", str(tmp_path / "nowhere"))
    finding = found(tmp_path, "data")[-1]
    assert finding.state == "wrong"
    assert "nowhere" in finding.what


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ImportError('no such library')", ["ImportError", "no such library"]),
        ("raise SystemExit(4)", ["SystemExit"]),
        ("import os; os._exit(5)", ["exit code 5"]),
        (good("warm", "Warm = Good", at_import="print('hello')"), ["printed `hello`"]),
    ],
)
def test_a_plugin_that_misbehaves_is_named_with_its_distribution_and_version(
    world: World, monkeypatch: pytest.MonkeyPatch, source: str, words: list[str]
) -> None:
    world.install("warmth", {"initialiser.warm": "warmth:Warm"}, {"warmth.py": source})
    monkeypatch.setenv("PYTHONPATH", str(world.folder))
    wrong = [f for f in found(world.folder / "results", "plugins") if f.state == "wrong"]
    assert len(wrong) == 1
    assert "warmth 1.0" in wrong[0].what
    for word in words:
        assert word in wrong[0].what
    assert "pip install --upgrade warmth" in wrong[0].repair


def test_a_results_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    (finding,) = found(tmp_path / "results", "results")
    assert finding.state == "wrong"


def test_a_corrupt_record_is_named(tmp_path: Path) -> None:
    record = factories.record()
    with Store(tmp_path).lock("a test") as writer:
        writer.commit(record)
    path = Store(tmp_path).paths.record(record.key)
    path.write_bytes(path.read_bytes()[:-20])
    wrong = [finding for finding in found(tmp_path, "results") if finding.state == "wrong"]
    assert len(wrong) == 1
    assert record.key in wrong[0].what


def test_a_broken_mlflow_database_is_named(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    (tmp_path / "mlflow.db").write_text("this is no database" * 100)
    (finding,) = found(tmp_path, "mlflow")
    assert finding.state == "wrong"
    assert "mlflow.db" in finding.what
    assert run_command(["doctor", "--results", str(tmp_path)]) == 2


def test_an_unreachable_server_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    (finding,) = found(tmp_path, "mlflow")
    assert finding.state == "wrong"
    assert "secret" not in finding.what


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug in a check")

    monkeypatch.setattr(doctor, "_python", broken)
    broken_check, *others = examine(tmp_path, ["python", "results"])
    assert broken_check == Finding("python", "wrong", "ZeroDivisionError: a bug in a check")
    assert others[0].state == "fine"
