"""A run that is killed at any commit point, and run again, ends in the same bytes.

The run below takes every path through the store that writes. A child process is killed with
SIGKILL at each commit point that an undisturbed run passes; a fresh process then does what is
missing, and the folder must hold what an undisturbed run leaves: the same files, byte for byte.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from initbench.store import atomic
from initbench.store.record import TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from tests.factories import manifest, record
from tests.store.worlds import WEIGHTS, artifact, contents, die, in_child, put

LOST_FIRST = record(initialiser="lecun")
CORRUPT_FIRST = record(initialiser="orthogonal")
FITTED = artifact()


# A killed process leaves what it wrote in memory behind; a disk would only make the tests slow.
MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


def prepare(root: Path) -> Store:
    """A folder in which an earlier run left a damaged record."""
    store = Store(root)
    put(store.paths.record(CORRUPT_FIRST.key), b"damaged")
    return store


def run(root: Path) -> None:
    """Do what is missing, as the planner and its workers do."""
    store = Store(root)
    with store.lock("run") as writer:
        writer.adopt_leftovers()
        writer.interrupted()
        writer.write_manifest(manifest())
        if writer.artifact(FITTED.key) is None:
            writer.adopt(worker(store).put_artifact(FITTED, WEIGHTS))
        if writer.record(CORRUPT_FIRST.key) is None:
            writer.claim(CORRUPT_FIRST.key, 1)
            store.checkpoint(CORRUPT_FIRST.key).write({"step": 1}, WEIGHTS)
            writer.adopt(worker(store).put_record(CORRUPT_FIRST, WEIGHTS))
        train_what_is_lost_at_first(writer)
        writer.adopt_leftovers()


def train_what_is_lost_at_first(writer: StoreWriter) -> None:
    key = LOST_FIRST.key
    if writer.record(key) is None:
        writer.claim(key, 1)
        writer.commit(record(initialiser="lecun", status=TrialStatus.LOST))
    if writer.status(key) is TrialStatus.LOST:
        writer.claim(key, 2)
        writer.commit(LOST_FIRST, {name: x + 1 for name, x in WEIGHTS.items()})


def worker(store: Store) -> Spool:
    return Spool(store.paths.spool / "run" / "worker-0")


def undisturbed() -> tuple[list[str], dict[str, bytes]]:
    """The commit points that a run passes, and what it leaves behind."""
    points: list[str] = []
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(atomic, "commit_point", points.append)
        run(prepare(Path(folder)).paths.root)
        return points, contents(Path(folder))


POINTS, EXPECTED = undisturbed()


def run_until(root: Path, number: int, patch: pytest.MonkeyPatch) -> int:
    """Run in a child process that is killed at its commit point `number`; return how it ended."""
    passed = iter(range(number))

    def count(_: str) -> None:
        if next(passed, None) is None:
            die()

    with patch.context() as inner:
        inner.setattr(atomic, "commit_point", count)
        return in_child(lambda: run(root))


def test_the_run_passes_every_commit_point_there_is() -> None:
    package = Path(atomic.__file__).parent
    named = {
        name
        for path in package.glob("*.py")
        for name in re.findall(r'commit_point\("([^"]+)"\)', path.read_text())
    }
    assert len(named) > 10
    assert named == set(POINTS)
    assert {name.split("/")[0] for name in EXPECTED} == {
        *("artifacts", "blobs", "quarantine", "records", "suites")
    }


@pytest.mark.parametrize("number", range(len(POINTS)), ids=lambda n: f"{n:03}-{POINTS[n]}")
def test_a_run_killed_here_and_run_again_ends_in_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = prepare(folder)
    assert run_until(folder, number, monkeypatch) == -signal.SIGKILL
    for key in store.find(""):
        if key != CORRUPT_FIRST.key or store.paths.record(key).read_bytes() != b"damaged":
            assert store.record(key) is not None  # whole, though nobody has tidied up yet
    run(folder)
    assert contents(folder) == EXPECTED


def test_a_run_killed_again_and_again_gets_to_the_same_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(folder)
    kills = 0
    for number in range(0, len(POINTS), 5):
        kills += run_until(folder, number, monkeypatch) == -signal.SIGKILL
    run(folder)
    assert kills > 5
    assert contents(folder) == EXPECTED


def test_a_finished_run_repeated_writes_nothing_new(folder: Path) -> None:
    prepare(folder)
    for _ in range(2):
        run(folder)
        assert contents(folder) == EXPECTED
