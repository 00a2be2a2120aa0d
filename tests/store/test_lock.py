"""One process writes a results folder, and a dead one never blocks it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from initbench.errors import UserError
from initbench.store.lock import StoreBusyError, hold
from tests.store.worlds import in_child, without_rights

HOLDER = """
import subprocess, sys
from pathlib import Path
from initbench.store.lock import hold
with hold(Path(sys.argv[1]), "run quickstart"):
    sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(sleeper.pid, flush=True)
    sys.stdin.readline()
sleeper.kill()
"""


@contextmanager
def holder(path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds the lock and has started a program."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    sleeper = int(process.stdout.readline())
    try:
        yield process, sleeper
    finally:
        process.kill()
        process.communicate()


def test_a_second_process_learns_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "results" / "lock"
    with holder(path) as (process, _):
        with pytest.raises(StoreBusyError) as caught, hold(path, "run other"):
            pytest.fail("two processes hold the lock")
        message = str(caught.value)
        assert re.fullmatch(
            rf"the results folder `{re.escape(str(path.parent))}` is in use by `run quickstart` "
            rf"\(process {process.pid}\) since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC; "
            "wait until it has ended, stop it, or choose another folder",
            message,
        )
        assert isinstance(caught.value, UserError)
        process.communicate("done\n")
    with hold(path, "run other"):
        pass
    assert path.read_bytes() == b""


def test_the_lock_ends_with_a_killed_holder_whose_children_live_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as (process, sleeper):
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(sleeper, 0)  # it lives, and inherited everything that can be inherited
        with hold(path, "run again"):
            assert b"run again" in path.read_bytes()
        os.kill(sleeper, signal.SIGKILL)


def test_one_process_cannot_hold_the_lock_twice(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, "outer"):
        with pytest.raises(StoreBusyError, match="`outer`"), hold(path, "inner"):
            pytest.fail("held twice")
        with pytest.raises(StoreBusyError, match="`outer`"), hold(path, "inner"):
            pytest.fail("the first refusal has released it")


def test_an_exception_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyboardInterrupt), hold(path, "first"):
        raise KeyboardInterrupt
    with hold(path, "second"):
        pass


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe"])
def test_a_holder_that_has_not_said_who_it_is_is_another_process(
    tmp_path: Path, note: bytes
) -> None:
    path = tmp_path / "lock"
    with hold(path, "first"):
        path.write_bytes(note)
        with pytest.raises(StoreBusyError, match="in use by another process"), hold(path, "x"):
            pytest.fail("held twice")


def test_the_note_names_neither_home_nor_user_nor_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    with hold(tmp_path / "lock", "run /home/ada/suites/mine.yaml"):
        note = (tmp_path / "lock").read_text()
    assert "run ~/suites/mine.yaml" in note
    assert "ada/" not in note


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with (
        pytest.raises(UserError, match=r"results` is not writable .* or choose another folder"),
        hold(tmp_path / "results" / "lock", "run"),
    ):
        pytest.fail("held")


@pytest.mark.parametrize("mode", [0o555, 0o000], ids=oct)
@pytest.mark.parametrize("below", ["", "results", "deep/results"])
def test_a_folder_without_permission_is_a_user_error(tmp_path: Path, mode: int, below: str) -> None:
    tmp_path.chmod(mode)

    def try_to_hold() -> None:
        without_rights()
        with (
            pytest.raises(UserError, match=r"is not writable .*Permission denied"),
            hold(tmp_path / below / "lock", "run"),
        ):
            pytest.fail("held")

    try:
        assert in_child(try_to_hold) == 0
    finally:
        tmp_path.chmod(0o755)


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    (tmp_path / "lock").symlink_to(precious)
    with pytest.raises(UserError, match="not writable"), hold(tmp_path / "lock", "run"):
        pytest.fail("held")
    assert precious.read_text() == "content"
