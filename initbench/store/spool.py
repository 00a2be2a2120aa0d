"""The spool: where a worker leaves its outcomes, whole or not at all.

A worker shares nothing with the process that runs the plan but a folder of files. Tensors are
written first, then the sealed JSON file that names them; only the JSON file counts. Its name holds
a random part, so two workers may leave an outcome of one key, and the store keeps the one that it
adopts first. Workers and planner may die at any time: what is whole is adopted by the next run.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.errors import StoreError
from initbench.store import atomic, blobs, sealed
from initbench.store.artifact import StoredArtifact
from initbench.store.identity import digest
from initbench.store.record import Blob, Record

if TYPE_CHECKING:
    import torch


class Spool:
    """The folder of one run into which its workers put outcomes; it is made when needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_record(self, record: Record, weights: Mapping[str, torch.Tensor] | None = None) -> Path:
        """Write a record and its weights; return the file that `StoreWriter.adopt` takes.

        `weights` is flat, its names start with `best.`, `last.` or `kept.`; `record.weights` is
        filled in.
        Raises StoreError if it cannot be written or is no record that the store would take.
        """
        blob = self._put_tensors(weights)
        return self._put("record", record.model_copy(update={"weights": blob}))

    def put_artifact(
        self, artifact: StoredArtifact, tensors: Mapping[str, torch.Tensor] | None = None
    ) -> Path:
        """Write an artifact and its tensors; return the file that `StoreWriter.adopt` takes."""
        blob = self._put_tensors(tensors)
        return self._put("artifact", artifact.model_copy(update={"blob": blob}))

    def _put_tensors(self, tensors: Mapping[str, torch.Tensor] | None) -> Blob | None:
        if tensors is None:
            return None
        blob, data = blobs.encode(tensors)
        atomic.write_bytes(spooled_blob(self.folder, blob), data)
        atomic.commit_point("spool: tensors written")
        return blob

    def _put(self, kind: str, outcome: Record | StoredArtifact) -> Path:
        if digest(outcome.identity) != outcome.key:
            raise StoreError(f"the key `{outcome.key}` of this {kind} is not that of its identity")
        path = self.folder / f"{kind}-{outcome.key}-{secrets.token_hex(4)}.json"
        atomic.write_bytes(path, sealed.seal(outcome))
        atomic.commit_point("spool: outcome written")
        return path


def spooled_blob(folder: Path, blob: Blob) -> Path:
    """Return where in the spool `folder` the tensors of an outcome lie."""
    return folder / f"{blob.digest}.safetensors"
