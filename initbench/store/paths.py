"""Every path inside the results folder, in one place.

Names are digests, so no name that a user or a plugin chose ever becomes part of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from initbench.errors import StoreError

CHECKPOINT_SUFFIX = ".checkpoint"

_KEY = re.compile(r"[0-9a-f]{64}")
_MANIFEST_ID = re.compile(r"[0-9a-f]{16}")
_LABEL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


class StorePaths:
    """The layout of one results folder; making an instance touches nothing on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "lock"
        self.records = root / "records"
        self.blobs = root / "blobs"
        self.artifacts = root / "artifacts"
        self.claims = root / "claims"
        self.checkpoints = root / "checkpoints"
        self.spool = root / "spool"
        self.quarantine = root / "quarantine"
        self.suites = root / "suites"
        self.logs = root / "logs"
        self.mlflow_database = root / "mlflow.db"
        self.mlflow_artifacts = root / "mlflow-artifacts"
        self.mlflow_ledger = root / "mlflow-ledger.json"
        self.leaderboard = root / "leaderboard"

    def record(self, key: str) -> Path:
        """Return where the record of a trial lies."""
        return self.records / _checked(key)[:2] / f"{key}.json"

    def artifact(self, key: str) -> Path:
        """Return where the description of an artifact lies."""
        return self.artifacts / _checked(key)[:2] / f"{key}.json"

    def blob(self, digest: str) -> Path:
        """Return where the tensors with this digest lie."""
        return self.blobs / _checked(digest)[:2] / f"{digest}.safetensors"

    def claim(self, key: str) -> Path:
        """Return where it is noted that a trial is running."""
        return self.claims / f"{_checked(key)}.json"

    def checkpoint(self, key: str) -> Path:
        """Return where it is kept how far a running trial has come."""
        return self.checkpoints / f"{_checked(key)}{CHECKPOINT_SUFFIX}"

    def manifest(self, manifest_id: str) -> Path:
        """Return where a suite lies as it was run."""
        if not _MANIFEST_ID.fullmatch(manifest_id):
            raise StoreError(f"`{manifest_id}` names no suite: expected 16 hexadecimal digits")
        return self.suites / f"{manifest_id}.json"

    def log(self, label: str) -> Path:
        """Return where the log of a worker lies."""
        if not _LABEL.fullmatch(label):
            raise StoreError(
                f"`{label}` cannot name a log: expected letters, digits, `_`, `.`, `-`"
            )
        return self.logs / f"{label}.log"

    def relative(self, path: Path) -> str:
        """Return how messages name a file: from the results folder on."""
        return path.relative_to(self.root).as_posix()


def is_key(text: str) -> bool:
    """Say whether `text` is a key or the digest of a blob: 64 hexadecimal digits, lower case."""
    return _KEY.fullmatch(text) is not None


def keys_in(folder: Path) -> list[str]:
    """Return the keys of the `<key>.json` files in `folder` (a missing one is empty), sorted."""
    return [path.stem for path in files_in(folder, ".json") if is_key(path.stem)]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in `folder` (a missing one is empty), sorted."""
    return sorted(path for path in _entries(folder) if path.is_dir())


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Return the files in `folder` (a missing one is empty) that end in `suffix`, sorted."""
    return sorted(
        path for path in _entries(folder) if path.suffix == suffix and not path.name.startswith(".")
    )


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read the folder `{folder}`: {error.strerror}") from error


def _checked(key: str) -> str:
    if not is_key(key):
        raise StoreError(f"`{key}` is no key: expected 64 hexadecimal digits, all lower case")
    return key
