"""Checkpoints: how far a trial has come, so that its next attempt goes on from there.

A checkpoint is a help, never a result: without it, or with a damaged one, the trial starts anew.
It is one file a trial, a sealed JSON line with the tensors in safetensors form behind it, so the
rename that replaces a checkpoint replaces all of it. A worker writes it by itself, without the
lock: it may outlive its planner, and two workers that happen to train the same trial replace each
other's checkpoints whole. The holder of the lock removes it when the trial's record is committed.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from initbench.errors import CorruptRecordError, StoreError
from initbench.store import atomic, blobs, sealed
from initbench.store.record import Blob

if TYPE_CHECKING:
    import torch

CHECKPOINT_FORMAT = 1
"""Bumped when what the trainer puts into a checkpoint changes; others are not gone on from."""

KEPT_DAYS = 30
"""How long a checkpoint is kept that no attempt has replaced and no record has made needless."""


class _Head(BaseModel):
    """The JSON line of a checkpoint; `blob` names the bytes behind it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = CHECKPOINT_FORMAT
    key: str
    description: dict[str, Any]
    blob: Blob


class CheckpointFile:
    """The one place of the checkpoint of one trial; made by `Store.checkpoint`."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    def write(self, description: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """Replace the checkpoint by another: plain JSON (no NaN) and tensors.

        Raises StoreError if it cannot be written; the one before then stays.
        """
        blob, data = blobs.encode(tensors)
        head = _Head(key=self._key, description=dict(description), blob=blob)
        atomic.write_bytes(self._path, sealed.seal(head) + data)

    def read(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
        """Return description and tensors (on the CPU) as they were written; None if there is none.

        Raises CorruptRecordError for a file that is not what was written for this trial, UserError
        for one of another format version, StoreError for one that cannot be read.
        """
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise CorruptRecordError(f"`{self._path}` is corrupt: it is no regular file")
            with open(self._path, "rb") as file:
                line, data = file.readline(sealed.MAX_BYTES), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read `{self._path}`: {error.strerror}") from error
        head = sealed.unseal(line, _Head, self._path)
        if head.key != self._key:
            raise CorruptRecordError(f"`{self._path}` is corrupt: it holds `{head.key}`")
        return head.description, blobs.decode(data, head.blob, self._path)
