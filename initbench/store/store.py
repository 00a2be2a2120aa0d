"""The store: records, artifacts, tensors and manifests of one results folder.

What is guaranteed. A record or artifact is whole or absent, whenever workers, the planner or the
machine die. What `record` and `artifact` return is what was written, under the key that it is the
digest of; anything else is refused as corrupt, and the holder of the lock sets it aside, so that
the trial is trained again. A trial that was scored is never replaced.

By which steps. Every file is written by `atomic.py` and sealed by `sealed.py`. Tensors come before
the file that names them. A worker leaves outcomes in a spool; the holder of the lock *adopts* them:
it checks seal, key and digest, moves the tensors, and then renames the JSON file into `records/` or
`artifacts/`. That rename is the commit. Whatever a kill leaves half done is either adopted again,
which does nothing twice, or cleared away when the lock is next taken.

Reading needs no lock, writes nothing and creates nothing: a reader sees each file as it was before
or after a commit. One process writes (`lock`).

Sharing. All names are digests, so two stores are merged by copying `records/`, `blobs/` and
`artifacts/` of one over the other, in any order; where both have a file, either will do. A copy
that broke off is found by its checksum. Without `blobs/`, tables and pages still work.

Trade-offs. Tensors that nothing refers to any more (their record was deleted, or lost a race) stay
in `blobs/`: harmless, and safer than deleting what a merged record may need.

Out of scope. Forged files: seals detect damage, not malice, though hostile files can at worst be
wrong, never run code or leave the folder. Two machines that write one folder at once.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from initbench.errors import CorruptRecordError, StoreError
from initbench.store import atomic, blobs, lock, sealed
from initbench.store.artifact import StoredArtifact
from initbench.store.checkpoint import KEPT_DAYS, CheckpointFile
from initbench.store.claim import Claim
from initbench.store.identity import digest
from initbench.store.manifest import SuiteManifest
from initbench.store.paths import (
    CHECKPOINT_SUFFIX,
    StorePaths,
    files_in,
    folders_in,
    is_key,
    keys_in,
)
from initbench.store.record import Blob, Record, TrialStatus
from initbench.store.spool import Spool, spooled_blob

if TYPE_CHECKING:
    import torch

Outcome = Record | StoredArtifact
OutcomeT = TypeVar("OutcomeT", Record, StoredArtifact)
StoredT = TypeVar("StoredT", Record, StoredArtifact, SuiteManifest, Claim)

_SPOOLED = re.compile(r"(?P<kind>record|artifact)-(?P<key>[0-9a-f]{64})-[0-9a-f]{8}\.json")
_OUTCOMES = "*.json"
_HEALING = "the next `initbench run` of its suite sets it aside and makes it again"


class Store:
    """A results folder, for reading; the folder need not exist.

    Methods raise CorruptRecordError, which names file and reason, for a file that is not what was
    written, UserError for one of another format version, StoreError for one that cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.paths = StorePaths(root)

    @contextmanager
    def lock(self, purpose: str) -> Iterator[StoreWriter]:
        """Hold the lock for the duration of the block; yield the store for writing.

        `purpose` tells others who holds it ("run quickstart"). Raises StoreBusyError if another
        process does, UserError if the folder cannot be written to.
        """
        with lock.hold(self.paths.lock, purpose):
            writer = StoreWriter(self.paths.root)
            writer.tidy()
            yield writer

    def record(self, key: str) -> Record | None:
        """Return the record of a trial, or None if there is none."""
        return self._load(self.paths.record(key), Record, key)

    def status(self, key: str) -> TrialStatus | None:
        """Return how a trial ended, or None if there is no record of it."""
        record = self.record(key)
        return record.status if record else None

    def records(self, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records of those of the trials that have one, by key."""
        found = ((key, self.record(key)) for key in keys)
        return {key: record for key, record in found if record}

    def keys(self) -> list[str]:
        """Return the keys of all records, sorted."""
        return [key for folder in folders_in(self.paths.records) for key in keys_in(folder)]

    def artifact_keys(self) -> list[str]:
        """Return the keys of all artifacts, sorted."""
        return [key for folder in folders_in(self.paths.artifacts) for key in keys_in(folder)]

    def find(self, prefix: str) -> list[str]:
        """Return the keys of all records that start with `prefix`, sorted."""
        return [key for key in self.keys() if key.startswith(prefix)]

    def weights(
        self, record: Record, checkpoint: Literal["best", "last"]
    ) -> dict[str, torch.Tensor]:
        """Return the state dictionary of a checkpoint, verified, as views of the mapped file."""
        return self._tensors(_weights_of(record), prefix=f"{checkpoint}.")

    def states(self, record: Record) -> dict[str, dict[str, torch.Tensor]]:
        """Return all weights of a trial as `weights` does: `best`, `last` and `kept`.

        Those of `kept` are (epochs, ...), one of each of the record's `kept_epochs`.
        """
        states: dict[str, dict[str, torch.Tensor]] = {"best": {}, "last": {}, "kept": {}}
        for name, tensor in self._tensors(_weights_of(record), prefix="").items():
            which, _, own = name.partition(".")
            states[which][own] = tensor
        return states

    def artifact(self, key: str) -> StoredArtifact | None:
        """Return the description of a fitted state or prepared data set, or None."""
        return self._load(self.paths.artifact(key), StoredArtifact, key)

    def tensors(self, artifact: StoredArtifact) -> dict[str, torch.Tensor]:
        """Return the tensors of an artifact, verified, as views of the mapped file."""
        return {} if artifact.blob is None else self._tensors(artifact.blob, prefix="")

    def blob_path(self, blob: Blob) -> Path:
        """Return where the tensors of a record or artifact lie."""
        return self.paths.blob(blob.digest)

    def has_blob(self, blob: Blob) -> bool:
        """Say whether the tensors are there, by their size alone."""
        try:
            return self.blob_path(blob).stat().st_size == blob.bytes
        except OSError:
            return False

    def checkpoint(self, key: str) -> CheckpointFile:
        """Return the place of a trial's checkpoint, which workers write without the lock."""
        return CheckpointFile(self.paths.checkpoint(key), key)

    def manifests(self) -> list[SuiteManifest]:
        """Return all suites as they were run, by name and profile."""
        names = (path.stem for path in files_in(self.paths.suites, ".json"))
        found = [manifest for name in names if (manifest := self.manifest(name))]
        return sorted(found, key=lambda m: (m.name, m.profile or "", m.id))

    def manifest(self, manifest_id: str) -> SuiteManifest | None:
        """Return a suite as it was run, or None if it never was."""
        return self._load(self.paths.manifest(manifest_id), SuiteManifest, manifest_id)

    def _load(self, path: Path, model: type[StoredT], name: str) -> StoredT | None:
        try:
            return _read(path, model, name)
        except CorruptRecordError as error:
            self._on_corrupt(path, error)
            return None

    def _tensors(self, blob: Blob, prefix: str) -> dict[str, torch.Tensor]:
        path = self.blob_path(blob)
        try:
            return blobs.load(path, blob, prefix)
        except CorruptRecordError as error:
            self._on_corrupt(path, error)
            raise

    def _on_corrupt(self, path: Path, error: CorruptRecordError) -> None:
        """Readers refuse a corrupt file."""
        raise CorruptRecordError(f"{error}; {_HEALING}") from error


class StoreWriter(Store):
    """A results folder, for the process that holds its lock; made by `Store.lock` only.

    Here, `record` and the like set a corrupt file aside, leave a line in `warnings`, and return
    None, so that whatever it held is made again.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.warnings: list[str] = []
        self._spool = Spool(self.paths.spool / "writer")
        self._claimed: set[str] = set()

    def artifact(self, key: str) -> StoredArtifact | None:
        """Return an artifact, or None if it is not there with its tensors: it is made again."""
        found = super().artifact(key)
        return found if found and self._complete(found) else None

    def commit(self, record: Record, weights: Mapping[str, torch.Tensor] | None = None) -> Record:
        """Store a record and its weights; return what the store now holds under its key.

        A record that is there already stays, unless it is lost or its weights are gone.
        """
        kept = self._adopt(self._spool.put_record(record, weights), Record, record.key)
        _discard(self._spool.folder)
        return kept

    def commit_artifact(
        self, artifact: StoredArtifact, tensors: Mapping[str, torch.Tensor]
    ) -> StoredArtifact:
        """Store an artifact and its tensors; return what the store now holds under its key."""
        spooled = self._spool.put_artifact(artifact, tensors)
        kept = self._adopt(spooled, StoredArtifact, artifact.key)
        _discard(self._spool.folder)
        return kept

    def adopt(self, spooled: Path) -> Outcome:
        """Take an outcome out of a spool; return what the store now holds under its key.

        What is there already stays, unless it is lost or its tensors are gone; adopting twice is
        fine. Raises CorruptRecordError, after setting the file aside, if it is not what a worker
        wrote.
        """
        folder, spool = spooled.parent.resolve(), self.paths.spool.resolve()
        if not folder.is_relative_to(spool):
            raise StoreError(f"`{spooled}` is not in the spool of `{self.paths.root}`")
        spooled = self.paths.spool / folder.relative_to(spool) / spooled.name
        match = _SPOOLED.fullmatch(spooled.name)
        if match is None:
            self.set_aside(spooled, f"`{spooled}` is not named as an outcome")
            raise CorruptRecordError(self.warnings[-1])
        if match["kind"] == "record":
            return self._adopt(spooled, Record, match["key"])
        return self._adopt(spooled, StoredArtifact, match["key"])

    def adopt_leftovers(self) -> list[Outcome]:
        """Adopt everything in the spool and empty it; return what was adopted.

        For the time before the first and after the last worker of a run: outcomes that are still
        being written would be discarded. Corrupt outcomes are set aside with a warning.
        """
        adopted: list[Outcome] = []
        for run in folders_in(self.paths.spool):
            for spooled in sorted(run.rglob(_OUTCOMES)):
                with suppress(CorruptRecordError):  # set aside, with a warning
                    adopted.append(self.adopt(spooled))
            _discard(run)
        return adopted

    def claim(self, key: str, attempt: int) -> None:
        """Note that a trial is running; adopting or committing its outcome ends that."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        claim = Claim(key=key, owner=os.getpid(), since=since, attempt=attempt)
        self._claimed.add(key)
        atomic.write_bytes(self.paths.claim(key), sealed.seal(claim))

    def release(self, key: str) -> None:
        """Note that a trial is no longer running, though it left nothing."""
        self._claimed.discard(key)
        atomic.remove(self.paths.claim(key))

    def interrupted(self) -> dict[str, int]:
        """Return the trials that were running when an earlier planner died: key to attempt."""
        keys = (key for key in keys_in(self.paths.claims) if key not in self._claimed)
        claims = ((key, self._load(self.paths.claim(key), Claim, key)) for key in keys)
        return {key: claim.attempt for key, claim in claims if claim}

    def write_manifest(self, manifest: SuiteManifest) -> None:
        """Store a suite as it is run, in place of an earlier run of the same variant."""
        atomic.write_bytes(self.paths.manifest(manifest.id), sealed.seal(manifest))

    def delete(self, key: str) -> None:
        """Forget the record or artifact with this key, so that it is made again, from the start."""
        atomic.remove(self.paths.checkpoint(key))
        atomic.remove(self.paths.record(key))
        atomic.remove(self.paths.artifact(key))

    def set_aside(self, path: Path, reason: str) -> None:
        """Move a file of the store to `quarantine/`, with the reason beside it, and warn."""
        name = self.paths.relative(path)
        reason = reason.replace(f"{self.paths.root}/", "")
        target = self._free_place(name.replace("/", "-"))
        note = {"file": name, "reason": reason}
        atomic.write_json(target.with_name(f"{target.name}.reason"), note)
        atomic.commit_point("set aside: reason written")
        atomic.move(path, target)
        self.warnings.append(f"{reason}; moved to `{self.paths.relative(target)}`")

    def tidy(self) -> None:
        """Clear away what killed predecessors left half done."""
        shelves = (self.paths.records, self.paths.blobs, self.paths.artifacts)
        folders = [folder for shelf in shelves for folder in folders_in(shelf)]
        paths = self.paths
        flat = (paths.root, paths.claims, paths.checkpoints, paths.suites, paths.quarantine)
        for folder in (*folders, *flat, paths.leaderboard):
            atomic.remove_leftovers(folder)
        for key in keys_in(self.paths.claims):
            outcome = self.record(key) or self.artifact(key)
            if outcome and outcome.status is not TrialStatus.LOST:
                self.release(key)  # killed between commit and release
        self._tidy_checkpoints()

    def _tidy_checkpoints(self) -> None:
        """Remove checkpoints that nobody will go on from.

        Besides those of abandoned suites, that is what a worker left which went on with a trial
        after its planner was killed and another worker had finished it.
        """
        for path in files_in(self.paths.checkpoints, CHECKPOINT_SUFFIX):
            if is_key(path.stem):
                record = self.record(path.stem)
                age = time.time() - path.stat().st_mtime
                if age > KEPT_DAYS * 86_400 or (record and self._final(record)):
                    atomic.remove(path)

    def _on_corrupt(self, path: Path, error: CorruptRecordError) -> None:
        """The writer clears a corrupt file out of the way."""
        self.set_aside(path, str(error))

    def _adopt(self, spooled: Path, model: type[OutcomeT], key: str) -> OutcomeT:
        target = self.paths.record(key) if model is Record else self.paths.artifact(key)
        existing = self._load(target, model, key)
        try:
            outcome = _read(spooled, model, key)
            if outcome is None:
                if existing is None:
                    raise StoreError(f"`{spooled}` is not there and was not adopted before")
            elif existing is None or not self._final(existing):
                self._adopt_blob(spooled.parent, _blob(outcome))
                atomic.commit_point("adopt: tensors in place")
                atomic.move(spooled, target)
                existing = outcome
        except CorruptRecordError as error:
            self.set_aside(spooled, str(error))
            raise
        atomic.commit_point("adopt: committed")
        atomic.remove(spooled)
        self.release(key)
        if self._final(existing):  # what is lost goes on from it
            atomic.remove(self.paths.checkpoint(key))
        return existing

    def _adopt_blob(self, folder: Path, blob: Blob | None) -> None:
        if blob is None:
            return
        spooled, target = spooled_blob(folder, blob), self.blob_path(blob)
        if spooled.exists():
            blobs.verify(spooled, blob)
            atomic.move(spooled, target)
        elif target.exists():  # a run that was killed here, or another outcome brought the same
            blobs.verify(target, blob)
        else:
            raise CorruptRecordError(f"`{spooled}` is missing")

    def _final(self, outcome: Outcome) -> bool:
        return outcome.status is not TrialStatus.LOST and self._complete(outcome)

    def _complete(self, outcome: Outcome) -> bool:
        blob = _blob(outcome)
        return blob is None or self.has_blob(blob)

    def _free_place(self, name: str) -> Path:
        places = (self.paths.quarantine / f"{name}.{i}" for i in itertools.count(1))
        return next(place for place in places if not place.exists())


def _weights_of(record: Record) -> Blob:
    if record.weights is None:
        raise StoreError(f"trial `{record.key}` ({record.status}) left no weights")
    return record.weights


def _blob(outcome: Outcome) -> Blob | None:
    return outcome.weights if isinstance(outcome, Record) else outcome.blob


def _read(path: Path, model: type[StoredT], name: str) -> StoredT | None:
    """Read a sealed file that is to be known as `name`."""
    found = sealed.read(path, model)
    if found is not None and (reason := _mismatch(found, name)):
        raise CorruptRecordError(f"`{path}` is corrupt: {reason}")
    return found


def _mismatch(found: Record | StoredArtifact | SuiteManifest | Claim, name: str) -> str | None:
    """Say why something that was read is not what is known as `name`, if so."""
    known_as = found.id if isinstance(found, SuiteManifest) else found.key
    if known_as != name:
        return f"it holds `{known_as}`"
    if isinstance(found, Record | StoredArtifact):
        if digest(found.identity) != name:
            return "its key is not the digest of its identity"
        blob = _blob(found)
        if blob and not is_key(blob.digest):
            return f"`{blob.digest}` names no tensors"
    return None


def _discard(folder: Path) -> None:
    """Delete a spool, unless it holds outcomes that were not adopted."""
    if not any(folder.rglob(_OUTCOMES)):
        atomic.remove_folder(folder)
