"""Running the command line as a user does: in a process of its own, in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from initbench.store.record import Record
from initbench.store.store import Store

SUITE = """\
title: A small suite
question: Do these differ?
models: [{name: zoo_cnn, activation: tanh}]
datasets: [digits]
initialisers: [default, he, lecun]
recipe: {optimiser: {name: sgd, lr: 0.1, momentum: 0.9}, epochs: 2, batch_size: 64}
seeds: 2
measures: [test_accuracy, {name: steps_to_threshold, threshold: 0.5}]
comparisons: {reference: default}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> list[str]:
    """Return the command line that runs initbench in the Python of the tests."""
    return [sys.executable, "-m", "initbench", *arguments]


def initbench(*arguments: str, folder: Path, timeout: float = 180, **environment: str) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_and_stop(
    arguments: Sequence[str], folder: Path, *, after_records: int, by: signal.Signals
) -> int:
    """Start a command and stop it with a signal once some records are there; return its code."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Who starts the tests in the background may have had SIGINT ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 120
    while len(list((folder / "results" / "records").glob("*/*.json"))) < after_records:
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(by)
    return process.wait(timeout=60)


def write_suite(folder: Path, text: str = SUITE, name: str = "small") -> str:
    """Write a suite file and return its name."""
    (folder / f"{name}.yaml").write_text(text)
    return f"{name}.yaml"


def records(folder: Path, results: str = "results") -> dict[str, Record]:
    """Return all records of a results folder."""
    store = Store(folder / results)
    return store.records(store.keys())


def numbers(folder: Path, results: str = "results") -> dict[str, Any]:
    """Return everything in the records that must not depend on how they came about."""
    return {
        key: {
            "status": record.status,
            "final": record.final,
            "curves": {name: curve.model_dump() for name, curve in record.curves.items()},
            "streams": record.streams,
            "weights": record.weights,
            "coverage": [row.model_dump() for row in record.coverage],
        }
        for key, record in records(folder, results).items()
    }


def results_json(suite: str, folder: Path, *options: str) -> dict[str, Any]:
    """Return what `initbench results --format json` prints."""
    ended = initbench("results", suite, "--format", "json", *options, folder=folder)
    assert ended.code == 0, ended.err
    tree: dict[str, Any] = json.loads(ended.out)
    return tree
