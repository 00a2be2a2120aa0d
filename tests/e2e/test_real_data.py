"""Real images from the user's data folder, end to end: found, marked, trained on, told.

A small data set in MNIST's format stands for one that is not the official one, and the real copies
below INITBENCH_DATA, where there are any, for themselves.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.official_zoo import digits, pixels, write_mnist
from tests.e2e.harness import initbench, records

SUITE = """\
title: Digits that are none
question: Is it said that these are not the official images?
models: [{name: mlp, widths: [16]}]
datasets: [mnist]
initialisers: [default, he]
recipe: {optimiser: {name: sgd, lr: 0.1}, epochs: 1, batch_size: 1000}
seeds: 1
measures: [test_accuracy]
comparisons: {reference: default}
"""


@pytest.fixture
def unofficial_mnist(tmp_path: Path) -> Path:
    """Right counts and format; the label of an image is how many of its rows are white."""
    root = tmp_path / "data"
    for stem, count in (("train", 60_000), ("t10k", 10_000)):
        labels = digits(count)
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        images[np.arange(28) < labels[:, None]] = 255
        images[:, 27] = pixels(count, 28)
        write_mnist(root, stem, images, labels, form="{}-{}")
    return root


def test_unofficial_images_are_marked_wherever_their_numbers_are(
    unofficial_mnist: Path, tmp_path: Path
) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    run = ["run", "suite.yaml", "--no-mlflow", "--workers", "1"]
    ended = initbench(*run, folder=tmp_path, INITBENCH_DATA=str(unofficial_mnist))
    assert ended.code == 0, ended.err
    assert "on mnist  UNOFFICIAL DATA" in ended.out
    assert "note: mnist: unofficial data: `MNIST/raw/" in ended.out
    assert "mnist: 70,000 images of 28 x 28 pixels, 56.0 MB resident" in ended.err
    for record in records(tmp_path).values():
        assert [r.split(":")[0] for r in record.data_remarks] == ["unofficial data"]
        assert record.final["test_accuracy.last"] > 0.3
    page = (tmp_path / "results" / "leaderboard" / "index.html").read_text()
    assert "unofficial data" in page

    # The same files under the same names are not read again to plan, and nothing is trained.
    again = initbench(*run, folder=tmp_path, INITBENCH_DATA=str(unofficial_mnist))
    assert again.code == 0
    assert "to do none" in again.err


def test_results_are_read_without_the_data(unofficial_mnist: Path, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    run = ["run", "suite.yaml", "--no-mlflow", "--workers", "0"]
    initbench(*run, folder=tmp_path, INITBENCH_DATA=str(unofficial_mnist))
    shutil.rmtree(unofficial_mnist)
    ended = initbench("results", "suite.yaml", "--format", "json", folder=tmp_path)
    assert ended.code == 0, ended.err
    facts = json.loads(ended.out)["datasets"]["mnist"]
    assert facts["marks"] == ["unofficial data"]
    assert facts["images"] == {"train": 50_000, "validation": 10_000, "test": 10_000}
    ended = initbench(*run, folder=tmp_path, INITBENCH_DATA=str(unofficial_mnist))
    assert ended.code == 2
    assert "suite.yaml:4:" in ended.err
    assert "INITBENCH_DATA" in ended.err


def test_a_data_set_larger_than_memory_is_refused_before_it_is_loaded(
    unofficial_mnist: Path, tmp_path: Path
) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    script = (
        "import initbench.data.memory as memory; from initbench.cli import main; "
        "memory.available_bytes = lambda device: 10_000_000; "
        "main(['plan', 'suite.yaml'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "INITBENCH_DATA": str(unofficial_mnist)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "data set `mnist` needs" in done.stderr
    assert "only 0.01 GB are available" in done.stderr


def test_the_real_copies_train(tmp_path: Path) -> None:
    root = os.environ.get("INITBENCH_DATA")
    if not root or not (Path(root) / "usps").is_dir():
        pytest.skip("INITBENCH_DATA has no usps")
    arguments = ["run", "small_images", "--profile", "smoke", "--only", "dataset=usps"]
    ended = initbench(*arguments, "--no-mlflow", folder=tmp_path, INITBENCH_DATA=root)
    assert ended.code == 0, ended.err
    assert all(r.final["test_accuracy.last"] > 0.3 for r in records(tmp_path).values())
