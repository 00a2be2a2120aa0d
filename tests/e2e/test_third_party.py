"""A third party's package, built as a wheel and installed beside the harness's own wheel in an
environment outside the checkout, works without any change here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from initbench.store.record import TrialStatus
from tests.e2e.harness import Ended, records, write_suite

CHECKOUT = Path(__file__).parents[2]

SUITE = """\
title: Does a zoo's moments help?
question: Is a normal with the moments of trained weights a better start?
models: [zoo_cnn]
datasets: [digits]
initialisers: [default, zoo_moments, {name: zoo_moments, networks: 2, label: two networks}]
recipe: zoo_moments_short
seeds: 2
measures: [test_accuracy]
comparisons: {reference: default}
"""


class Environment:
    """A virtual environment with two wheels of its own; libraries come from the tests' own."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv" / "bin" / "python"
        wheels = folder / "wheels"
        for project in (CHECKOUT, CHECKOUT / "tests" / "third_party"):
            source = folder / project.name
            shutil.copytree(project, source, ignore=_not_source)
            run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", wheels, source)
        run(sys.executable, "-m", "venv", folder / "venv")
        site = next((folder / "venv" / "lib").glob("python*/site-packages"))
        run(
            *(sys.executable, "-m", "pip", "--python", self.python, "install", "--no-deps"),
            *("--no-index", "--disable-pip-version-check", *wheels.glob("*.whl")),
        )
        # After its own packages, the environment finds torch and the rest where the tests do.
        (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.site = site

    def initbench(self, *arguments: str, folder: Path) -> Ended:
        done = subprocess.run(
            [self.python, "-m", "initbench", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def run(*arguments: str | Path) -> None:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _not_source(folder: str, names: list[str]) -> set[str]:
    return {n for n in names if n.startswith(".") or n in ("results", "dist", "__pycache__")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


def test_it_uses_its_own_wheel_not_the_checkout(environment: Environment, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment.python, "-c", "import initbench; print(initbench.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(environment.site)


def test_it_appears_in_the_list(environment: Environment, tmp_path: Path) -> None:
    ended = environment.initbench("plugins", "list", folder=tmp_path)
    assert ended.code == 0, ended.err
    line = next(line for line in ended.out.splitlines() if "zoo_moments " in line)
    assert "initbench-zoo-moments" in line
    assert "1.4.0" in line
    shown = environment.initbench("plugins", "show", "zoo_moments", folder=tmp_path)
    assert shown.code == 0, shown.err
    assert "networks" in shown.out
    assert "Moments of trained weights" in shown.out


def test_it_learns_from_a_zoo_runs_in_a_suite_and_lands_on_the_page(
    environment: Environment, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path, SUITE, "moments")
    ended = environment.initbench("run", suite, "--no-mlflow", folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "3 zoo trials, 2 fittings" in ended.err  # the two zoos share their first two networks
    found = records(tmp_path)
    assert len(found) == 9
    fitted = {r.identity["initialiser"]["artifact"] for r in found.values()} - {None}
    assert len(fitted) == 2
    page = (tmp_path / "results" / "leaderboard" / "index.html").read_text()
    assert "zoo_moments" in page
    assert "Moments of trained weights" in page
    again = environment.initbench("run", suite, "--no-mlflow", folder=tmp_path)
    assert "to do none" in again.err


def test_a_plugin_that_raises_is_a_failed_record_and_the_suite_goes_on(
    environment: Environment, tmp_path: Path
) -> None:
    text = SUITE.replace(
        "zoo_moments, {name: zoo_moments, networks: 2, label: two networks}", "unlucky"
    )
    suite = write_suite(tmp_path, text, "unlucky")
    ended = environment.initbench("run", suite, "--no-mlflow", folder=tmp_path)
    assert ended.code == 3, ended.err
    assert "no luck with this seed" in ended.err
    states = [record.status for record in records(tmp_path).values()]
    assert sorted(states) == [TrialStatus.DONE] * 2 + [TrialStatus.FAILED] * 2
    page = (tmp_path / "results" / "leaderboard" / "index.html").read_text()
    assert "no luck with this seed" in page
    again = environment.initbench("run", suite, "--no-mlflow", folder=tmp_path)
    assert (again.code, "to do none" in again.err) == (3, True)
    retried = environment.initbench("run", suite, "--no-mlflow", "--retry-failed", folder=tmp_path)
    assert retried.code == 3
    assert "cached 2, to do 2" in retried.err


def test_its_data_set_model_and_measure_work_together_with_everybody_elses(
    environment: Environment, tmp_path: Path
) -> None:
    text = (
        SUITE.replace("zoo_cnn", "one_layer, mlp")
        .replace("digits", "stripes")
        .replace("test_accuracy", "test_accuracy, surprise")
    )
    suite = write_suite(tmp_path, text, "stripes")
    ended = environment.initbench("run", suite, "--no-mlflow", folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "surprise: one_layer on stripes" in ended.out
    assert "test_accuracy: mlp on stripes" in ended.out
    (fingerprint,) = {r.identity["data"]["fingerprint"] for r in records(tmp_path).values()}
    assert len(fingerprint) == 64
    assert {r.identity["data"]["size"] for r in records(tmp_path).values()} == {6}


def test_a_bundled_suite_is_found_by_name(environment: Environment, tmp_path: Path) -> None:
    ended = environment.initbench("plan", "quickstart", "--profile", "smoke", folder=tmp_path)
    assert ended.code == 0, ended.err
