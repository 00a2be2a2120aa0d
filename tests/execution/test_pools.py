"""Pools: worker processes live, die and are replaced; nothing of theirs gets lost on the way."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from initbench.errors import InitbenchError
from initbench.execution.devices import slots
from initbench.execution.events import (
    Broken,
    Event,
    Finished,
    Outcome,
    Progress,
    Ready,
    event_of,
    to_tree,
)
from initbench.execution.jobs import DataJob
from initbench.execution.pools import WorkerFiles, WorkerPool
from initbench.suite.trial import Code, DataReference, Reference


def a_pool(folder: Path) -> WorkerPool:
    files = WorkerFiles(folder / "results", folder / "spool", folder / "worker.log", None)
    return WorkerPool([(slots("cpu", 1)[0], files)])


def unknown_data() -> DataJob:
    return DataJob(DataReference(Reference("no_such_data", {}, Code("nobody", "1")), 8, "0" * 64))


def first_event(pool: WorkerPool) -> Event:
    for _ in range(300):
        if (event := pool.next_event(timeout=0.2)) is not None:
            return event
    raise AssertionError("the worker said nothing for a minute")


@pytest.mark.parametrize(
    "event",
    [
        Progress("a", "b", 1, 2, 0.5, 1.25),
        Outcome("a", "a path with 'quotes' and\nlines"),
        Finished("a"),
        Ready(),
        Broken("a", "lost", "message", "log"),
    ],
)
def test_events_survive_the_journey(event: Ready | Event) -> None:
    assert event_of(to_tree(event)) == event


def test_a_worker_tells_of_wrong_input_and_takes_the_next_job(tmp_path: Path) -> None:
    pool = a_pool(tmp_path)
    try:
        for _ in range(2):
            assert pool.has_room()
            pool.submit(unknown_data())
            assert not pool.has_room()
            event = first_event(pool)
            assert isinstance(event, Broken)
            assert event.why == "wrong input"
            assert "no_such_data" in event.message
    finally:
        pool.close()


def test_a_worker_that_never_gets_going_is_a_broken_installation_not_a_lost_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text("import os; os._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hook"))
    pool = a_pool(tmp_path)
    pool.submit(unknown_data())
    with pytest.raises(InitbenchError, match=r"before it did any work \(exit code 7\)"):
        first_event(pool)


def test_a_worker_that_dies_loses_its_job_and_is_replaced(tmp_path: Path) -> None:
    pool = a_pool(tmp_path)
    try:
        pool.submit(unknown_data())
        first_event(pool)
        worker = pool._workers[0]
        assert worker._process is not None
        worker._process.send_signal(signal.SIGSTOP)
        pool.submit(unknown_data())
        worker._process.send_signal(signal.SIGKILL)
        event = first_event(pool)
        assert isinstance(event, Broken)
        assert event.why == "lost"
        assert "SIGKILL" in event.message
        assert pool.has_room()
        pool.submit(unknown_data())
        assert isinstance(first_event(pool), Broken)
    finally:
        pool.close()
    assert worker._process is None
