"""Wrong input gets one clear message and exit code 2, before anything is trained."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.harness import SUITE, initbench, write_suite

CASES = {
    "unknown initialiser": (
        SUITE.replace("[default, he, lecun]", "[default, hee]"),
        [],
        ["small.yaml:5:", "`hee`", "`he`"],
    ),
    "unknown model": (SUITE.replace("zoo_cnn", "zoo_cn"), [], ["small.yaml:3:", "`zoo_cnn`"]),
    "unknown data set": (SUITE.replace("[digits]", "[digit]"), [], ["`digits`"]),
    "unknown measure": (SUITE.replace("[test_accuracy", "[accuracy_test"), [], ["accuracy"]),
    "unknown recipe": (
        SUITE.replace(
            "{optimiser: {name: sgd, lr: 0.1, momentum: 0.9}, epochs: 2, batch_size: 64}",
            "digits_quik",
        ),
        [],
        ["`digits_quick`"],
    ),
    "unknown configuration": (
        SUITE.replace("[default, he, lecun]", "[default, {name: he, mood: fan_out}]"),
        [],
        ["small.yaml:5:36", "`initialisers[1].mood`", "`mode`"],
    ),
    "reference that is no initialiser": (
        SUITE.replace("{reference: default}", "{reference: defalt}"),
        [],
        ["`defalt`", "`default`"],
    ),
    "invalid YAML": ("title: [unclosed\nmodels: x", [], ["small.yaml:"]),
    "duplicate key": (SUITE + "seeds: 3\n", [], ["seeds", "small.yaml:"]),
    "zero seeds": (SUITE, ["--seeds", "0"], ["seeds"]),
    "impossible threshold": (
        SUITE.replace("threshold: 0.5", "threshold: 1.5"),
        [],
        ["threshold", "1.5"],
    ),
    "a device that is not there": (SUITE, ["--device", "cuda:99"], ["cuda:99"]),
    "a device that does not exist": (SUITE, ["--device", "abacus"], ["`abacus`", "cpu"]),
    "unknown profile": (SUITE, ["--profile", "smok"], ["smok"]),
    "unknown override": (SUITE, ["--set", "recipe.epoch=3"], ["recipe.epoch", "epochs"]),
    "unsupported model": (
        SUITE.replace(
            "[default, he, lecun]", "[default, {name: delta_orthogonal, misfit: refuse}]"
        ),
        [],
        ["delta_orthogonal", "zoo_cnn", "6 outputs for 8 inputs"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_message(case: str, tmp_path: Path) -> None:
    text, options, expected = CASES[case]
    suite = write_suite(tmp_path, text)
    ended = initbench("run", suite, "--no-mlflow", *options, folder=tmp_path)
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    for part in expected:
        assert part in ended.err, ended.err
    assert not list((tmp_path / "results").rglob("records/*/*.json"))


def test_a_missing_file_names_the_bundled_suites(tmp_path: Path) -> None:
    ended = initbench("run", "quickstrat", folder=tmp_path)
    assert ended.code == 2
    assert "quickstart" in ended.err
    assert "Traceback" not in ended.err


def test_an_unwritable_results_folder(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    (tmp_path / "taken").write_text("a file")
    ended = initbench("run", suite, "--results", "taken", folder=tmp_path)
    assert ended.code == 2
    assert "taken" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_results_folder_without_permission(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    (tmp_path / "locked").mkdir(mode=0o555)
    ended = initbench("run", suite, "--results", "locked/results", folder=tmp_path)
    assert ended.code == 2
    assert "locked" in ended.err


def test_results_of_a_suite_that_never_ran(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    ended = initbench("results", suite, folder=tmp_path)
    assert ended.code == 2
    assert "initbench run" in ended.err


def test_explain_of_nothing(tmp_path: Path) -> None:
    ended = initbench("explain", "ffff", folder=tmp_path)
    assert ended.code == 2
    assert "ffff" in ended.err
