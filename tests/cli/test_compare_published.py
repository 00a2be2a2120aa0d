"""`initbench compare-published`: whole outputs, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from initbench.cli import run_command
from initbench.leaderboard.page import build_page
from initbench.plugin.registry import Registry
from initbench.reporting import results_of
from initbench.store.store import Store

SUITE = """\
title: A small suite
question: Do these differ?
models: [{name: zoo_cnn, label: resnet20}]
datasets: [{name: digits, label: cifar10}]
initialisers: [he, xavier]
recipe: {name: digits_quick, epochs: 1}
seeds: 2
measures: [test_accuracy, {name: steps_to_threshold, threshold: 0.65, unit: epoch}]
comparisons: {reference: he, test: welch, margins: {test_accuracy: 0.05}}
"""
PUBLISHED = """\
published:
  - experiment: convergence_speed
    only: {dataset: cifar10}
    differs: [These are digits.]
  - {experiment: accuracy, only: {dataset: cifar10}}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite that was run."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "small.yaml").write_text(SUITE + PUBLISHED)
    arguments = ["--results", str(folder / "results"), "--workers", "0"]
    assert run_command(["--quiet", "run", str(folder / "small.yaml"), *arguments]) == 0
    return folder


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["compare-published", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_published_values_stand_beside_ours(run: Run) -> None:
    code, out, err = run("small.yaml")
    text = " ".join(out.split())

    assert (code, err) == (0, "")
    assert "epochs to val accuracy, resnet20 on cifar10, at threshold 0.65, in epochs" in text
    assert next(x.split()[1] for x in out.splitlines() if x.startswith(" he ")) == "3.0"
    assert "differs: These are digits.; 2 trials, published 25" in text
    assert "noise_ghn: `noise_ghn` is not in this run" in text
    assert "figure only" in text
    assert "does not measure `steps_to_threshold` with unit: epoch, threshold: 0.75" in text


def test_a_claim_has_a_verdict_and_its_reason(run: Run) -> None:
    out = run("small.yaml")[1]

    assert "○ undecided: On CIFAR-10, GHN is slightly higher." in out
    assert "`ghn` is not in this run" in out
    assert "every GHN run beats" not in out  # on PCam, which the suite leaves out


def test_the_same_as_json(run: Run) -> None:
    code, out, _ = run("small.yaml", "--format", "json")
    tree = json.loads(out)

    assert code == 0
    row = tree["beside"][2]
    assert (row["initialiser"], row["settings"]) == ("he", {"threshold": 0.65})
    assert (row["published"], row["label"], row["n"]) == (3.0, "he", 2)
    assert {claim["verdict"] for claim in tree["claims"]} == {"undecided"}


def test_a_suite_that_repeats_nothing_is_told_how_to(run: Run) -> None:
    code, out, err = run("quickstart")
    assert (code, out) == (2, "")
    assert "`quickstart` repeats nothing published" in err
    assert "`published: [convergence_speed]`" in err


def test_a_suite_that_was_not_run_names_the_command(run: Run) -> None:
    code, out, err = run("small.yaml", "--seeds", "3")
    assert (code, out) == (2, "")
    assert "make them with `initbench run small.yaml" in err


@pytest.mark.parametrize("arguments", [["smal.yaml"], ["small.yaml", "--profile", "no"], []])
def test_wrong_names_are_wrong_input(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_a_suite_that_was_run_before_it_said_what_it_repeats(folder: Path, run: Run) -> None:
    (folder / "late.yaml").write_text(SUITE)
    arguments = ["--results", str(folder / "results"), "--workers", "0"]
    assert run_command(["--quiet", "run", "late.yaml", *arguments]) == 0
    (folder / "late.yaml").write_text(SUITE + PUBLISHED)

    code, _, err = run("late.yaml")

    assert code == 2
    assert "`initbench run late.yaml` brings it up to date and trains nothing twice" in err


def test_the_page_shows_the_same(folder: Path) -> None:
    store = Store(folder / "results")
    manifest = next(m for m in store.manifests() if m.name == "small")
    page = build_page([results_of(store, manifest, Registry.installed())])

    assert "Beside the papers" in page
    assert "convergence_speed: epochs to val accuracy, resnet20 on cifar10" in page
    assert "On CIFAR-10, GHN is slightly higher." in page
    assert "differs: These are digits." in page


def test_the_page_of_a_suite_that_repeats_nothing_has_no_such_section() -> None:
    from tests.factories import results

    assert "Beside the papers" not in build_page([results(initialisers=("he",), seeds=2)])
