"""Looking at networks from the command line: once, and later without training anything again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.harness import initbench

SUITE = """\
title: A small suite
question: Do these differ?
models: [{name: zoo_cnn, activation: tanh}]
datasets: [digits]
initialisers: [default, he]
recipe: {optimiser: {name: sgd, lr: 0.1, momentum: 0.9}, epochs: 1, batch_size: 64}
seeds: 3
measures: [MEASURES]
comparisons: {reference: default}
"""


def run(folder: Path, measures: str) -> str:
    (folder / "suite.yaml").write_text(SUITE.replace("MEASURES", measures))
    ended = initbench("run", "suite.yaml", "--no-mlflow", "--workers", "1", folder=folder)
    assert ended.code == 0, ended.err
    return ended.out + ended.err


def test_a_measure_that_comes_later_looks_at_the_networks_that_are_there(tmp_path: Path) -> None:
    first = run(tmp_path, "{name: ensemble_accuracy, size: 2}")
    assert "ensemble_accuracy.size=2" in first
    later = run(tmp_path, "{name: ensemble_accuracy, size: 2}, prediction_agreement")
    assert "cached 6, to do none, 2 observations" in later
    assert "prediction_agreement" in later
    page = (tmp_path / "results" / "leaderboard" / "index.html").read_text()
    assert "one for each ensemble or pair of trials" in page
    planned = initbench("plan", "suite.yaml", folder=tmp_path)
    assert "cached 6, to do none\n" in planned.out + planned.err


def test_the_noise_of_the_test_images_stands_beside_that_of_seeds(tmp_path: Path) -> None:
    run(tmp_path, "{name: test_accuracy, test_images: true}")
    results = json.loads(
        initbench("results", "suite.yaml", "--format", "json", folder=tmp_path).out
    )
    (found,) = results["comparisons"]
    on_images = found["sensitivity"]["test_images"]
    assert (on_images["networks"], on_images["networks_of_reference"]) == (3, 3)
    assert on_images["images"] == results["datasets"]["digits"]["images"]["test"]
    assert on_images["difference"] == pytest.approx(found["difference"], abs=1e-12)
    assert on_images["low"] < found["difference"] < on_images["high"]
    assert (on_images["low"], on_images["high"]) != (found["low"], found["high"])
    shown = initbench("results", "suite.yaml", folder=tmp_path).out
    assert f"he: over {on_images['images']} test images, for these very networks" in shown
    page = (tmp_path / "results" / "leaderboard" / "index.html").read_text()
    assert "finite test set" in page
    planned = initbench("plan", "suite.yaml", "--set", "measures=[test_accuracy]", folder=tmp_path)
    assert "observations" not in planned.out + planned.err
