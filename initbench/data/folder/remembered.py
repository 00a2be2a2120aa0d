"""What was computed from the data and is worth remembering: digests, fingerprints.

Everything here can be computed again, so nothing is promised but that what `get` returns is what
was `put`: a file that is damaged, of another version or cannot be read counts as empty, one that
cannot be written stays as it is. Of two writers at once one may lose what it put.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

OWN_FOLDER = ".initbench"
"""What initbench keeps for itself in the data folder; no archive may write there."""

_FORMAT = 1
_MOST_ENTRIES = 1_000


def cache_folder(root: Path) -> Path:
    """Return the folder in which to remember what was computed from the data below `root`.

    It is `.initbench` in the data folder or, where that cannot be written, in the user's cache
    folder. It need not exist yet.
    """
    beside = root / OWN_FOLDER
    if os.access(beside if beside.is_dir() else root, os.R_OK | os.W_OK | os.X_OK):
        return beside
    return user_cache_folder()


def user_cache_folder() -> Path:
    """Return the folder in which to remember what concerns this machine; it need not exist yet."""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path is to be ignored.
    return (Path(caches) if os.path.isabs(caches) else Path.home() / ".cache") / "initbench"


class Remembered:
    """A JSON file of keys and values (plain JSON); the oldest are dropped when there are many."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any | None:
        """Return what was put under `key`, or None."""
        return self._read().get(key)

    def put(self, key: str, value: Any) -> None:
        """Remember `value` under `key`, if the file can be written."""
        entries = self._read()
        entries.pop(key, None)  # so that it counts as the newest
        entries[key] = value
        newest = dict(list(entries.items())[-_MOST_ENTRIES:])
        with contextlib.suppress(OSError):
            self._write(newest)

    def _read(self) -> dict[str, Any]:
        try:
            tree = json.loads(self._path.read_bytes())
            entries = tree["entries"]
            if tree["format"] == _FORMAT and tree["sha256"] == _digest(entries):
                return dict(entries)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            pass
        return {}

    def _write(self, entries: dict[str, Any]) -> None:
        tree = {"format": _FORMAT, "sha256": _digest(entries), "entries": entries}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            temporary.write_text(json.dumps(tree, indent=1))
            os.replace(temporary, self._path)
        finally:
            temporary.unlink(missing_ok=True)


def _digest(entries: Any) -> str:
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()
