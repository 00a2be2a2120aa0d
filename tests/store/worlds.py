"""Results folders for tests, and processes that die in them."""

from __future__ import annotations

import hashlib
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from initbench.store.artifact import StoredArtifact
from initbench.store.identity import digest
from initbench.store.record import Cost, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import StoreWriter
from tests.factories import record

KEY = "ab" * 32

HE, LECUN = record(initialiser="he"), record(initialiser="lecun")

WEIGHTS = {
    "best.layer.weight": torch.arange(6.0).reshape(2, 3),
    "best.layer.bias": torch.zeros(2),
    "last.layer.weight": torch.arange(6.0).reshape(2, 3) + 1,
    "last.layer.bias": torch.ones(2),
}


def artifact(name: str = "slice_vae", **fields: Any) -> StoredArtifact:
    """A fitted state without its tensors; `fields` replace or add fields."""
    identity = {"kind": "fit", "initialiser": {"name": name}}
    values: dict[str, Any] = {
        "key": digest(identity),
        "kind": "fit",
        "identity": identity,
        "status": TrialStatus.DONE,
        "description": {"latent": 16, "loss": 0.25},
        "cost": Cost(
            wall_seconds=2.0, device_seconds=1.5, peak_memory_bytes=1000, images_seen=0, steps=50
        ),
        "environment": {"python": "3.11.9"},
    }
    return StoredArtifact(**{**values, **fields})


def commit_artifact(
    writer: StoreWriter,
    fitted: StoredArtifact,
    tensors: Mapping[str, torch.Tensor] | None = None,
) -> StoredArtifact:
    """Take a fitted state the way that every outcome takes: through a spool."""
    kept = writer.adopt(Spool(writer.paths.spool / "fits").put_artifact(fitted, tensors))
    assert isinstance(kept, StoredArtifact)
    return kept


def damage(path: Path, where: int = 40) -> None:
    """Change one byte of a file, as a dying disk does."""
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(bytes(data))


def sealed(content: bytes) -> bytes:
    """A file whose seal is right, whatever its content is."""
    checksum = hashlib.sha256(content).hexdigest().encode()
    return b'{"checksum":"' + checksum + b'","content":' + content + b"}\n"


def put(path: Path, data: bytes) -> Path:
    """Write a file as somebody would who knows nothing of the store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def contents(root: Path) -> dict[str, bytes]:
    """All files of a results folder but the lock, whose content names a process."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def in_child(action: Callable[[], object]) -> int:
    """Run `action` in a process of its own; return its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def without_rights() -> None:
    """Make this process one that may not write where the tests write, even if it was root's."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def die() -> None:
    """End this process as a power cut would: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
