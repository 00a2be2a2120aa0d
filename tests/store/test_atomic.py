"""A file is whole or absent, old or new, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from initbench.errors import StoreError
from initbench.store import atomic
from tests.store.worlds import die, in_child

OLD, NEW = b"old " * 50_000, b"new " * 70_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    atomic.write_bytes(path, OLD)
    return path


def fail_at_call(number: int, error: BaseException, function: Any) -> Callable[..., Any]:
    """Return `function`, which raises at one of its calls."""
    calls = iter(range(number + 1))

    def wrapped(*arguments: Any) -> Any:
        if next(calls, None) == number:
            raise error
        return function(*arguments)

    return wrapped


def test_what_was_written_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for data in (b"", b"x", NEW):
        atomic.write_bytes(path, data)
        assert path.read_bytes() == data
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_text_is_utf8_and_json_is_strict(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "text", "Größe 数\n")
    assert (tmp_path / "text").read_bytes() == "Größe 数\n".encode()
    atomic.write_json(tmp_path / "json", {"b": [1, None], "a": "é"})
    assert (tmp_path / "json").read_text("utf-8") == (
        '{\n "b": [\n  1,\n  null\n ],\n "a": "é"\n}\n'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "json", {"a": float("nan")})


def test_new_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_bytes(tmp_path / "file", NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_and_its_target_left_alone(target: Path) -> None:
    link = target.with_name("link")
    link.symlink_to(target)
    atomic.write_bytes(link, NEW)
    assert not link.is_symlink()
    assert target.read_bytes() == OLD


def test_contents_are_on_disk_before_their_name_and_names_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut cannot be tested; the order of system calls that survives one can."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def recorded_replace(source: Path, target: Path) -> None:
        steps.append(f"rename to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    atomic.write_bytes(tmp_path / "folder" / "file", NEW)
    temporary = next(step for step in steps if ".tmp-" in step)
    assert steps == [f"sync {tmp_path.name}", temporary, "rename to file", "sync folder"]
    steps.clear()
    atomic.move(tmp_path / "folder" / "file", tmp_path / "other")
    assert steps == ["rename to other", f"sync {tmp_path.name}"]


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        KeyboardInterrupt(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__ + str(getattr(error, "errno", "")),
)
def test_an_error_in_the_middle_leaves_the_old_content_and_no_litter(
    target: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    monkeypatch.setattr(os, name, fail_at_call(0, error, getattr(os, name)))
    with pytest.raises(StoreError if isinstance(error, OSError) else type(error)):
        atomic.write_bytes(target, NEW)
    monkeypatch.undo()
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]
    atomic.write_bytes(target, NEW)
    assert target.read_bytes() == NEW


def test_a_full_disk_says_what_to_do(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "write", fail_at_call(0, full, os.write))
    with pytest.raises(
        StoreError, match=r"no space left to write .*file`; free some and run again"
    ):
        atomic.write_bytes(target, NEW)


def test_a_limit_in_the_middle_of_a_write_leaves_the_old_content(target: Path) -> None:
    """The kernel itself cuts the write short, as a full disk does."""

    def write_beyond_the_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(StoreError, match="File too large"):
            atomic.write_bytes(target, NEW)

    assert in_child(write_beyond_the_limit) == 0
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_short_writes_are_completed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:1000]))
    atomic.write_bytes(target, NEW)
    assert target.read_bytes() == NEW


def test_a_disk_that_stores_something_else_is_noticed(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(len(data))))
    with pytest.raises(StoreError, match="what was read back is not what was written"):
        atomic.write_bytes(target, NEW)
    monkeypatch.undo()
    assert target.read_bytes() == OLD


def test_an_unusable_folder_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        atomic.write_bytes(tmp_path / "file" / "below" / "x", NEW)


def test_readers_see_old_or_new_and_nothing_else(target: Path) -> None:
    seen: set[bytes] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(target.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        atomic.write_bytes(target, OLD if i % 2 else NEW)
    stop.set()
    reader.join()
    assert seen == {OLD, NEW}


WRITE_POINTS = [
    "write: created",
    "write: written",
    "write: synced",
    "write: compared",
    "write: renamed",
    "write: folder synced",
]


@pytest.mark.parametrize("point", WRITE_POINTS)
def test_a_killed_writer_leaves_old_or_new(
    target: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setattr(atomic, "commit_point", lambda name: die() if name == point else None)
    assert in_child(lambda: atomic.write_bytes(target, NEW)) == -signal.SIGKILL
    renamed = WRITE_POINTS.index(point) >= WRITE_POINTS.index("write: renamed")
    assert target.read_bytes() == (NEW if renamed else OLD)
    litter = [p.name for p in target.parent.iterdir() if p != target]
    assert len(litter) == (0 if renamed else 1)
    monkeypatch.undo()
    atomic.remove_leftovers(target.parent)
    assert list(target.parent.iterdir()) == [target]


def test_leftovers_of_the_living_and_files_of_others_stay(tmp_path: Path) -> None:
    living = tmp_path / f".tmp-{os.getppid()}-{'0' * 16}"
    same_number = tmp_path / f".tmp-{os.getpid()}-{'0' * 16}"
    no_number = tmp_path / f".tmp-{10**30}-{'0' * 16}"
    others = [tmp_path / ".tmp-1", tmp_path / ".tmp-99999999-xyz", tmp_path / "notes.txt"]
    for path in (living, same_number, no_number, *others):
        path.write_text("")
    atomic.remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living, *others])
    atomic.remove_leftovers(tmp_path / "missing")


def test_moving_replaces_and_removing_twice_is_fine(target: Path) -> None:
    other = target.parent / "folder" / "other"
    atomic.write_bytes(other, NEW)
    atomic.move(other, target)
    assert target.read_bytes() == NEW
    with pytest.raises(StoreError, match="No such file"):
        atomic.move(other, target)
    atomic.remove(target)
    atomic.remove(target)
    assert not target.exists()


def test_a_log_grows_and_is_complete_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "worker-0.log"

    def write_and_die() -> None:
        atomic.open_log(path).write(b"last words\n")
        die()

    for _ in range(2):
        assert in_child(write_and_die) == -signal.SIGKILL
    assert path.read_text() == "last words\n" * 2


def test_nothing_else_in_the_store_opens_files_for_writing() -> None:
    folder = Path(atomic.__file__).parent
    writing = re.compile(
        r"""open\([^)]*["'](w|a|x|r\+)|os\.open|\.write_(text|bytes)\(|\.open\(|save_file"""
    )
    allowed = re.compile(r"atomic\.write_(text|bytes)\(|safe_open\(")
    for path in folder.glob("*.py"):
        if path.name != "atomic.py":
            code = allowed.sub("", path.read_text())
            assert not writing.search(code), path.name
