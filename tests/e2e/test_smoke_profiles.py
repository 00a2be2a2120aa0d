"""Every suite runs: the smoke profile of each, on real images, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest

from initbench.cli import run_command
from initbench.suite.find import bundled_suites
from initbench.suite.load import load_suite

SUITES = [suite for suite in bundled_suites() if suite != "quickstart"]


def initbench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "initbench", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all suites, as a user has it: what two of them share is trained once."""
    return tmp_path_factory.mktemp("suites")


@pytest.mark.skipif("INITBENCH_DATA" not in os.environ, reason="INITBENCH_DATA is not set")
@pytest.mark.parametrize("suite", SUITES)
def test_the_smoke_profile_gives_a_value_for_every_measure(
    suite: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [suite, "--profile", "smoke", "--results", str(folder / "results")]
    run = initbench("run", *chosen, "--no-mlflow", "--workers", "0", cwd=folder)
    assert run.returncode in (0, 3), run.stderr
    # In this process, which has torch and scipy already: nearly all that it takes is their import.
    run_command(["results", *chosen, "--format", "json"])
    results = json.loads(capsys.readouterr().out)
    assert results["reduced"]
    assert "missing" not in results["trials"].values()
    without = [row["measure"] for row in results["rows"] if not row["n"]]
    assert without == [], results["notes"]
    page = (folder / "results" / "leaderboard" / "index.html").read_text()
    assert escape(results["title"]) in page


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_has_a_laptop_and_a_smoke_profile(suite: str) -> None:
    for profile in ("laptop", "smoke"):
        assert load_suite(suite, profile=profile).reduced
