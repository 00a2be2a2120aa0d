"""What a run may use is what its options say."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from initbench.cli import run_command
from initbench.execution.calibration import Calibration
from initbench.execution.run import resources
from initbench.plugin.registry import Registry
from initbench.suite.plan import Plan
from tests.suite.test_trial import a_trial
from tests.suite.worlds import SMALL


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "3"], "on 3 cpu workers"),
        (["--workers", "1"], "on 1 cpu worker"),
        (["--workers", "0"], "on this process (cpu)"),
        (
            ["--workers", "3", "--devices-per-trial", "2"],
            "on 3 cpu workers, 2 cpu devices a trial",
        ),
        (
            ["--workers", "0", "--devices-per-trial", "4"],
            "on this process (cpu), 4 cpu devices a trial",
        ),
    ],
)
def test_a_plan_says_on_what_it_would_run(
    options: list[str], said: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("small.yaml").write_text(SMALL, encoding="utf-8")
    assert run_command(["plan", "small.yaml", "--device", "cpu", *options]) == 0
    captured = capsys.readouterr()
    (line,) = (x for x in (captured.out + captured.err).splitlines() if x.startswith("  about "))
    assert f" {said}" in line


def test_a_trial_needs_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["plan", "quickstart", "--devices-per-trial", "0"]) == 2
    assert "--devices-per-trial" in capsys.readouterr().err


def test_trials_that_may_not_be_stacked_are_jobs_of_their_own() -> None:
    calibration = Calibration(
        cast("Plan", None), cast("Registry", None), resources("cpu", 2, stack=False)
    )
    assert calibration.stack_size(a_trial(), 100) == 1
