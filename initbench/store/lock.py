"""The lock of a results folder: one process writes, any number read.

`flock` on the file `lock` is the lock; it ends with the process that holds it, however that dies,
so there are no stale locks to clean up. Started programs do not inherit it; a forked child would,
which is why workers are spawned. The content (process, start, purpose) only serves the message
that others get; it names neither host nor user.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from initbench.errors import StoreError, UserError
from initbench.store import atomic
from initbench.store.environment import scrub

_MAX_NOTE_BYTES = 10_000


class StoreBusyError(UserError):
    """Another process holds the lock of the results folder."""


@contextmanager
def hold(path: Path, purpose: str) -> Iterator[None]:
    """Hold the lock at `path` for the duration of the block; `purpose` is shown to others.

    Raises StoreBusyError at once if another process holds it, and UserError if the results folder
    cannot be written to or its file system has no locks.
    """
    try:
        descriptor = atomic.open_lock(path)
    except StoreError as error:
        raise UserError(
            f"the results folder `{path.parent}` is not writable ({error}); "
            "repair its permissions or choose another folder"
        ) from error
    try:
        _acquire(descriptor, path)
        atomic.rewrite_lock(descriptor, path, _note(purpose))
        try:
            yield
        finally:
            atomic.rewrite_lock(descriptor, path, b"")
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreBusyError(
            f"the results folder `{path.parent}` is in use by {_holder(descriptor)}; "
            "wait until it has ended, stop it, or choose another folder"
        ) from error
    except OSError as error:
        raise UserError(
            f"the file system of `{path.parent}` cannot lock files ({error.strerror}); "
            "choose a results folder on a local disk"
        ) from error


def _note(purpose: str) -> bytes:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    note = {"process": os.getpid(), "since": since, "purpose": scrub(purpose)}
    return json.dumps(note).encode() + b"\n"


def _holder(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, _MAX_NOTE_BYTES, 0))
        return f"`{note['purpose']}` (process {note['process']}) since {note['since']}"
    except (ValueError, LookupError, TypeError):  # not written yet, or damaged
        return "another process"
