"""The main job, end to end: run, repeat, interrupt, continue, and always the same numbers."""

from __future__ import annotations

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from initbench.store.record import TrialStatus
from tests.e2e.harness import (
    SUITE,
    initbench,
    numbers,
    records,
    results_json,
    run_and_stop,
    write_suite,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the small suite ran once, from beginning to end, on two workers."""
    folder = tmp_path_factory.mktemp("undisturbed")
    suite = write_suite(folder)
    ended = initbench("run", suite, "--workers", "2", folder=folder)
    assert ended.code == 0, ended.err
    assert "test_accuracy" in ended.out
    assert "leaderboard/index.html" in ended.err
    return folder


def test_a_run_leaves_records_a_page_and_a_filled_mlflow_store(undisturbed: Path) -> None:
    found = records(undisturbed)
    assert len(found) == 6
    assert {record.status for record in found.values()} == {TrialStatus.DONE}
    for record in found.values():
        assert len(record.curves["validation_accuracy"].values) == 3
        assert record.streams is not None
        assert record.coverage
        assert record.cost.wall_seconds > 0
        assert record.cost.images_seen > 0
    page = (undisturbed / "results" / "leaderboard" / "index.html").read_text()
    assert "A small suite" in page
    with sqlite3.connect(undisturbed / "results" / "mlflow.db") as database:
        (runs,) = database.execute("select count(*) from runs where status='FINISHED'").fetchone()
    assert runs == 7  # the suite and its six trials


def test_pairs_see_the_same_batches_and_different_weights(undisturbed: Path) -> None:
    by_seed: dict[int, list[tuple[str, str]]] = {}
    for record in records(undisturbed).values():
        assert record.streams is not None
        by_seed.setdefault(record.identity["seed"], []).append(
            (record.streams.batch_order, record.streams.initial_weights)
        )
    for pairs in by_seed.values():
        assert len({order for order, _ in pairs}) == 1
        assert len({weights for _, weights in pairs}) == 3
    orders = {pairs[0][0] for pairs in by_seed.values()}
    assert len(orders) == 2


def test_results_as_json_have_the_promised_fields(undisturbed: Path) -> None:
    tree = results_json("small.yaml", undisturbed)
    row = next(r for r in tree["rows"] if r["measure"] == "test_accuracy")
    promised = "initialiser model dataset measure n failed mean std low high".split()
    assert set(promised) <= set(row)
    assert row["n"] == 2
    comparison = tree["comparisons"][0]
    promised = (
        "measure model dataset initialiser reference test n difference low high p p_corrected "
        "effect verdict"
    ).split()
    assert set(promised) <= set(comparison)
    assert comparison["reference"] == "default"


def test_repeated_it_trains_nothing(undisturbed: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (undisturbed / "results" / "records").rglob("*")}
    began = time.monotonic()
    ended = initbench("run", "small.yaml", folder=undisturbed)
    assert ended.code == 0, ended.err
    assert "cached 6, to do none" in ended.err
    assert time.monotonic() - began < 60
    after = {p: p.stat().st_mtime_ns for p in (undisturbed / "results" / "records").rglob("*")}
    assert after == before


def test_adding_an_initialiser_trains_only_that_one(undisturbed: Path, tmp_path: Path) -> None:
    text = SUITE.replace("[default, he, lecun]", "[lecun, xavier, default]")
    suite = write_suite(tmp_path, text, "other")
    results = str(undisturbed / "results")
    ended = initbench("plan", suite, "--results", results, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "cached 4, to do 2" in ended.err


@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_numbers_do_not_depend_on_the_number_of_workers(
    undisturbed: Path, tmp_path: Path, workers: str
) -> None:
    suite = write_suite(tmp_path)
    ended = initbench("run", suite, "--workers", workers, "--no-mlflow", folder=tmp_path)
    assert ended.code == 0, ended.err
    assert numbers(tmp_path) == numbers(undisturbed)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_repeated_it_continues_with_identical_numbers(
    undisturbed: Path, tmp_path: Path, by: signal.Signals
) -> None:
    suite = write_suite(tmp_path)
    arguments = ["run", suite, "--workers", "2"]
    code = run_and_stop(arguments, tmp_path, after_records=2, by=by)
    assert code == (-signal.SIGKILL if by is signal.SIGKILL else 130)
    early = set(records(tmp_path))
    ended = initbench(*arguments, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "cached 0" not in ended.err
    assert early <= set(records(tmp_path))
    assert numbers(tmp_path) == numbers(undisturbed)
    with sqlite3.connect(tmp_path / "results" / "mlflow.db") as database:
        states = dict(database.execute("select status, count(*) from runs group by status"))
    assert states == {"FINISHED": 7}


def test_a_worker_that_is_killed_costs_one_attempt_and_nothing_else(
    undisturbed: Path, tmp_path: Path
) -> None:
    """A plugin kills its own worker on the first attempt, as the kernel would."""
    suite = write_suite(tmp_path)
    ended = initbench(
        "run",
        suite,
        "--workers",
        "1",
        "--no-mlflow",
        folder=tmp_path,
        PYTHONPATH=str(_killer(tmp_path)),
    )
    assert ended.code == 0, ended.err
    assert numbers(tmp_path) == numbers(undisturbed)
    assert sorted(record.attempts for record in records(tmp_path).values()) == [1] * 5 + [2]


def _killer(folder: Path) -> Path:
    """Write a start-up hook that kills the worker once, while it trains its third trial."""
    place = folder / "hook"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "import sys, os, pathlib, signal\n"
        f"mark = pathlib.Path({str(folder / 'killed')!r})\n"
        "if sys.argv[:1] == ['-m'] and not mark.exists():\n"
        "    import initbench.execution.training as training\n"
        "    seen = []\n"
        "    original = training._record\n"
        "    def killing(*arguments):\n"
        "        seen.append(1)\n"
        "        if len(seen) == 3 and not mark.exists():\n"
        "            mark.write_text('')\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return original(*arguments)\n"
        "    training._record = killing\n"
    )
    return place


def test_two_runs_on_one_store_do_no_harm(undisturbed: Path) -> None:
    from initbench.store.store import Store

    with Store(undisturbed / "results").lock("a test"):
        ended = initbench("run", "small.yaml", folder=undisturbed)
    assert ended.code == 2
    assert "a test" in ended.err
    assert "Traceback" not in ended.err


def test_divergence_is_a_record_that_is_counted_and_shown(tmp_path: Path) -> None:
    text = SUITE.replace("lr: 0.1", "lr: 1.0e+30").replace("tanh", "relu")
    suite = write_suite(tmp_path, text)
    ended = initbench("run", suite, "--workers", "1", "--no-mlflow", folder=tmp_path)
    assert ended.code == 3, ended.err
    assert "6 diverged" in ended.err
    assert {r.status for r in records(tmp_path).values()} == {TrialStatus.DIVERGED}
    rows = results_json(suite, tmp_path)["rows"]
    accuracy = next(r for r in rows if r["measure"] == "test_accuracy")
    assert accuracy["failed"] == 2
    assert accuracy["mean"] == pytest.approx(0.1)
    again = initbench("run", suite, "--no-mlflow", folder=tmp_path)
    assert again.code == 3
    assert "to do none" in again.err
