"""A long trial that is stopped in its middle goes on there, and its record is the same."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from initbench.store.record import Record, TrialStatus
from tests.e2e.harness import Ended, command, records, write_suite
from tests.plugin.worlds import World

STOP_AT = 31
"""The training step that never ends: the seventh of the second epoch of 24."""

MODEL = f"""
    import os, signal, time
    from pathlib import Path
    import torch
    from torch import nn
    from initbench.api import Citation, Config, Model

    class Stopper(nn.Module):
        '''Stops what STOP names, once, in the forward pass of a training step.'''

        calls = 0

        def forward(self, images):
            self.calls += self.training
            mark = Path(os.environ["MARK"])
            # The planner takes some steps, too, to estimate how long a trial will take.
            is_trial = any(Path(os.environ["CHECKPOINTS"]).glob("*"))
            if is_trial and self.calls == {STOP_AT} and not mark.exists():
                mark.write_text("")
                planner = os.getppid()
                match os.environ["STOP"]:
                    case "worker":
                        os.kill(os.getpid(), signal.SIGKILL)
                    case "planner and worker":
                        os.kill(planner, signal.SIGKILL)
                        os.kill(os.getpid(), signal.SIGKILL)
                    case "Ctrl-C":
                        os.kill(planner, signal.SIGINT)
                        time.sleep(60)
            return images

    class Stopping(Model[Config]):
        name = "stopping"
        summary = "a network with everything that draws or remembers"
        citation = Citation("Nobody, 2026")
        licence = "none"
        version = "1"
        channels_last = True

        def build(self, channels, image_size, classes):
            size = image_size // 2
            return nn.Sequential(
                nn.Conv2d(channels, 6, 3, stride=2, padding=1),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                Stopper(),
                nn.Dropout(0.3),
                nn.Flatten(),
                nn.Linear(6 * size * size, classes),
            )
"""

SUITE = """\
title: One trial
question: Does it go on?
models: [stopping]
datasets: [digits]
initialisers: [default]
recipe:
  optimiser: {name: adam, lr: 0.03}
  schedule: {name: plateau, factor: 0.5, patience: 1}
  augmentation: {crop_padding: 1, flip: true}
  evaluation: {every: 5, unit: batch}
  epochs: 2
  batch_size: 50
seeds: 1
measures: [test_accuracy]
comparisons: {reference: default}
"""


@dataclass(frozen=True)
class Place:
    """A folder with the suite in it, where the model is installed."""

    folder: Path
    suite: str

    @classmethod
    def made(cls, folder: Path) -> Place:
        (folder / "site").mkdir()
        entry_points = {"model.stopping": "stopping_model:Stopping"}
        modules = {"stopping_model.py": MODEL}
        World(folder / "site").install("stopping-model", entry_points, modules)
        return cls(folder, write_suite(folder, SUITE))

    def run(self, stop: str, **settings: str) -> Ended:
        """Run the suite; `stop` is whom the network stops in its middle, if it has not yet."""
        done = subprocess.run(
            command("run", self.suite, "--workers", "1", "--no-mlflow"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder / "site"),
                "INITBENCH_CHECKPOINT_SECONDS": "0",
                "STOP": stop,
                "MARK": str(self.folder / "mark"),
                "CHECKPOINTS": str(self.folder / "results" / "checkpoints"),
                **settings,
            },
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def record(self) -> Record:
        (record,) = records(self.folder).values()
        assert record.status is TrialStatus.DONE
        return record

    def checkpoints(self) -> list[Path]:
        return list((self.folder / "results" / "checkpoints").glob("*"))


def _kept(record: Record) -> dict[str, Any]:
    """Return what of a record must not depend on how it came about; weights are in it by digest."""
    free = {"cost", "initialise_cost", "attempts", "attempt_notes", "environment"}
    return {
        **record.model_dump(exclude=free),
        "steps": record.cost.steps,
        "images_seen": record.cost.images_seen,
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    place = Place.made(tmp_path_factory.mktemp("undisturbed"))
    ended = place.run("nobody", INITBENCH_CHECKPOINT_SECONDS="")
    assert ended.code == 0, ended.err
    assert place.checkpoints() == [], "a trial of a second needs no checkpoint"
    record = place.record()
    assert (record.attempts, record.attempt_notes) == (1, [])
    assert record.cost.steps == 48
    return record


@pytest.mark.parametrize(
    ("stop", "code"),
    [("worker", 0), ("planner and worker", -signal.SIGKILL), ("Ctrl-C", 130)],
)
def test_it_goes_on_where_it_was_stopped(
    undisturbed: Record, tmp_path: Path, stop: str, code: int
) -> None:
    place = Place.made(tmp_path)
    ended = place.run(stop)
    assert ended.code == code, ended.err
    assert (tmp_path / "mark").exists()
    if code:
        assert records(tmp_path) == {}
        assert len(place.checkpoints()) == 1
        ended = place.run(stop)
        assert ended.code == 0, ended.err
    record = place.record()
    assert record.attempt_notes == [f"continued from step {STOP_AT - 1}"]
    assert record.attempts == 2
    assert _kept(record) == _kept(undisturbed)
    assert place.checkpoints() == []
