"""A partial array keeps every finished piece through a kill, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from initbench.data.corruptions.partial import PartialArray, part_of, replace_file

ARRAY = np.random.default_rng(0).integers(0, 256, (6, 2, 3), dtype=np.uint8)
PIECES = (0, 2, 4)  # first rows of pieces of two


def journal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def write(part: PartialArray, row: int) -> None:
    part.write(row, ARRAY[row : row + 2])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fog.npy"


def begun(path: Path, *rows: int) -> None:
    """A part with some of its pieces, left by a process that went away."""
    part = PartialArray(path, ARRAY.shape, "a")
    for row in rows:
        write(part, row)
    part.close()


def test_the_finished_file_is_the_one_that_numpy_writes(path: Path, tmp_path: Path) -> None:
    part = PartialArray(path, ARRAY.shape, "a")
    for row in (4, 0, 2):
        write(part, row)
        assert not path.exists()
    assert np.array_equal(part.array(), ARRAY)
    part.commit()
    np.save(tmp_path / "expected.npy", ARRAY)
    assert path.read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["expected.npy", "fog.npy"]


def test_finished_pieces_are_kept_and_only_they(path: Path) -> None:
    begun(path, 2)
    part = PartialArray(path, ARRAY.shape, "a")
    assert part.finished == {2}
    assert np.array_equal(part.array()[2:4], ARRAY[2:4])


def test_nothing_is_written_before_the_first_piece(path: Path, tmp_path: Path) -> None:
    PartialArray(path, ARRAY.shape, "a").close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_off_does_not_count_and_does_not_spoil_the_next(path: Path) -> None:
    begun(path, 0, 2)
    content = journal_of(path).read_bytes()
    journal_of(path).write_bytes(content[:-1])
    part = PartialArray(path, ARRAY.shape, "a")
    assert part.finished == {0}
    write(part, 4)
    part.close()
    assert PartialArray(path, ARRAY.shape, "a").finished == {0, 4}


def _no_journal(path: Path) -> None:
    journal_of(path).unlink()


def _no_part(path: Path) -> None:
    part_of(path).unlink()


def _short_part(path: Path) -> None:
    os.truncate(part_of(path), 100)


def _no_first_line(path: Path) -> None:
    journal_of(path).write_bytes(b"")


def _half_a_first_line(path: Path) -> None:
    journal_of(path).write_bytes(b"a")


def _garbage(path: Path) -> None:
    journal_of(path).write_bytes(b"a\n\0\0\0\n")


@pytest.mark.parametrize(
    "spoil",
    [_no_journal, _no_part, _short_part, _no_first_line, _half_a_first_line, _garbage],
)
def test_what_cannot_be_trusted_is_begun_anew(path: Path, spoil: Callable[[Path], None]) -> None:
    begun(path, 0, 2, 4)
    spoil(path)
    part = PartialArray(path, ARRAY.shape, "a")
    assert part.finished == set()
    write(part, 2)
    assert not part.array()[[0, 1, 4, 5]].any()
    assert np.array_equal(part.array()[2:4], ARRAY[2:4])


def test_pieces_of_another_identity_or_shape_are_thrown_away(path: Path) -> None:
    begun(path, 0)
    assert PartialArray(path, ARRAY.shape, "b").finished == set()
    begun(path, 0)
    assert PartialArray(path, (7, 2, 3), "a").finished == set()


def killed_at(sync: int, work: Callable[[], None]) -> bool:
    """Do `work` in a process that is killed right after its fsync number `sync`.

    Returns whether it was, so that callers know when they have seen all.
    """
    child = os.fork()
    if child == 0:
        real, count = os.fsync, 0

        def fsync(descriptor: int) -> None:
            nonlocal count
            real(descriptor)
            count += 1
            if count == sync:
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = fsync  # type: ignore[assignment]
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def make(path: Path) -> None:
    part = PartialArray(path, ARRAY.shape, "a")
    for row in PIECES:
        if row not in part.finished:
            write(part, row)
    part.commit()


def test_after_a_kill_at_any_step_finished_pieces_are_true_and_the_rest_can_be_made(
    tmp_path: Path,
) -> None:
    sync = 0
    while True:
        sync += 1
        path = tmp_path / str(sync) / "fog.npy"
        path.parent.mkdir()
        if not killed_at(sync, lambda path=path: make(path)):  # type: ignore[misc]
            break
        if not path.exists():
            part = PartialArray(path, ARRAY.shape, "a")
            for row in part.finished:
                assert np.array_equal(part.array()[row : row + 2], ARRAY[row : row + 2])
            part.close()
            make(path)
        assert np.array_equal(np.load(path), ARRAY)
    assert sync > 2 * len(PIECES)


def test_a_piece_is_on_disk_before_the_line_that_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = PartialArray(path, ARRAY.shape, "a")
    write(part, 0)
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        lines = journal_of(path).read_text().splitlines()
        assert ("2" in lines) == (synced[-1] == "fog.npy.journal")

    monkeypatch.setattr(os, "fsync", fsync)
    write(part, 2)
    assert synced == ["fog.npy.part", "fog.npy.journal"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    path.write_bytes(b"old")
    sync = 0
    while True:
        sync += 1
        path.write_bytes(b"old")
        if not killed_at(sync, lambda: replace_file(path, b"new")):
            break
        assert path.read_bytes() in (b"old", b"new")
    assert path.read_bytes() == b"new"
