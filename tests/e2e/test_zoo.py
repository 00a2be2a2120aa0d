"""A zoo from the command line: trained at once, or killed, continued and grown, it is the same."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.e2e.harness import initbench, numbers, run_and_stop

TRAIN = (
    "zoo train zoo_cnn digits --recipe digits_quick --checkpoints all --set recipe.epochs=2 "
    "--workers 2 --no-stack"
).split()


def test_killed_continued_and_grown_it_is_the_zoo_that_was_trained_at_once(tmp_path: Path) -> None:
    at_once, stopped = tmp_path / "at once", tmp_path / "stopped"
    for folder in (at_once, stopped):
        folder.mkdir()
    ended = initbench(*TRAIN, "--networks", "6", folder=at_once)
    assert ended.code == 0, ended.err
    code = run_and_stop([*TRAIN, "--networks", "4"], stopped, after_records=1, by=signal.SIGKILL)
    assert code == -signal.SIGKILL
    ended = initbench(*TRAIN, "--networks", "6", folder=stopped)
    assert ended.code == 0, ended.err
    assert "cached 0" not in ended.err
    of_stopped = numbers(stopped)
    assert len(of_stopped) == 6
    assert all(network["weights"] for network in of_stopped.values())
    assert of_stopped == numbers(at_once)
