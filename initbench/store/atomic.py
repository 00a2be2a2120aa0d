"""Writing files inside the results folder: the only module that does.

What is guaranteed. After any of `write_bytes`, `write_text` and `write_json` returns, the file
holds exactly the new content and survives a crash of the machine. If it raises, or if the process
is killed at any moment, the file holds either all of its old content or all of the new, and a
reader that opens it meanwhile sees one of the two. A file that did not exist is whole or absent.

By which steps. A temporary file beside the target (a rename is atomic only within a file system),
write, fsync, read again and compare digests, rename over the target, fsync of the folder. An
exception, Ctrl-C included, removes the temporary file. What a killed writer leaves behind carries
its process id in its name; `remove_leftovers` deletes it once that process is gone.

Trade-offs. Two fsyncs a file cost milliseconds; a record stands for seconds to hours of training.
Reading again is answered from the page cache: it catches short writes and broken file systems, not
a dying disk; for that every file of the store carries a digest which readers check. A symbolic link
is replaced, not followed. The content is in memory as a whole, weights included.

Out of scope. Two writers of one file: the last rename wins, and for records `lock.py` excludes it.
Windows, network file systems on which a rename is not atomic, disks that lie about fsync. Two files
are not one transaction: callers write what is referred to before what refers to it.

Two kinds of files cannot be renamed into place, so they get descriptors of their own here: the lock
file, whose identity is the lock, and logs, which grow while their worker lives.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from initbench.errors import StoreError

_TEMPORARY = re.compile(r"\.tmp-(?P<pid>\d+)-[0-9a-f]{16}")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def commit_point(name: str) -> None:
    """Mark a step after which a process may die; does nothing, tests replace it by a kill."""


def write_bytes(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`, whole or not at all; missing folders are made.

    Raises StoreError if that fails; `path` then is as it was before or, in the last step, new.
    """
    make_folder(path.parent)
    temporary = path.parent / f".tmp-{os.getpid()}-{secrets.token_hex(8)}"
    with _explained("write", path):
        try:
            _write_new(temporary, data)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        commit_point("write: renamed")
        _sync_folder(path.parent)
        commit_point("write: folder synced")


def write_text(path: Path, text: str) -> None:
    """Make `text`, as UTF-8, the content of `path`, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, tree: Any) -> None:
    """Make `tree` the content of `path` as indented strict JSON (no NaN), whole or not at all."""
    write_text(path, json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def move(source: Path, target: Path) -> None:
    """Rename a file that was written here to `target`, replacing what is there.

    Both lie in one results folder, so this is one step: a kill leaves the file at either place.
    """
    make_folder(target.parent)
    with _explained("write", target):
        os.replace(source, target)
        commit_point("move: renamed")
        _sync_folder(target.parent)
        commit_point("move: folder synced")


def remove(path: Path) -> None:
    """Delete a file; one that is already gone is fine.

    Without a sync: what is removed here does no harm if a power cut brings it back.
    """
    with _explained("remove", path):
        path.unlink(missing_ok=True)
    commit_point("remove: removed")


def remove_folder(path: Path) -> None:
    """Delete a folder with all that is in it, as far as nobody writes to it meanwhile."""
    shutil.rmtree(path, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents so that they survive a crash."""
    with _explained("make the folder", path):
        if path.is_dir():
            return
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files in `folder` whose writer has died; other files are not touched.

    A file of a living process stays: an orphaned worker, or somebody who builds a page.
    """
    if not folder.is_dir():
        return
    for entry in list(os.scandir(folder)):
        match = _TEMPORARY.fullmatch(entry.name)
        # This very process writes nothing now; its id can be that of a predecessor (containers).
        if match and (int(match["pid"]) == os.getpid() or not _alive(int(match["pid"]))):
            remove(Path(entry.path))


def open_lock(path: Path) -> int:
    """Return a descriptor of the lock file, which is made if it is missing.

    Child processes do not inherit it, so they cannot keep the lock of a parent that died.
    """
    make_folder(path.parent)
    with _explained("write", path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def rewrite_lock(descriptor: int, path: Path, data: bytes) -> None:
    """Replace the content of the lock file, which says who holds it and is never relied on."""
    with _explained("write", path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, data, 0)


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, unbuffered, so that it is complete up to the moment of a kill."""
    make_folder(path.parent)
    with _explained("write", path):
        return open(path, "ab", buffering=0)


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "w+b", buffering=0) as file:
        commit_point("write: created")
        rest = memoryview(data)
        while rest:  # one call may write less than it was given
            rest = rest[os.write(file.fileno(), rest) :]
        commit_point("write: written")
        os.fsync(file.fileno())
        commit_point("write: synced")
        file.seek(0)
        if hashlib.file_digest(file, "sha256").digest() != hashlib.sha256(data).digest():
            raise OSError(errno.EIO, "what was read back is not what was written")
        commit_point("write: compared")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"no space left to {action} `{path}`; free some and run again: "
                "everything that was finished is kept"
            ) from error
        reason = error.strerror or str(error)
        raise StoreError(f"cannot {action} `{path}`: {reason}") from error
