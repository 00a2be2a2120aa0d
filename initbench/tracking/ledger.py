"""What has been mirrored, so that a repeated run need not even import mlflow.

The ledger is a hint. Where it is missing, damaged or from another version, everything is compared
with the tracking store instead; `initbench mlflow sync` always does that.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from initbench.errors import InitbenchError
from initbench.store import atomic, sealed
from initbench.tracking.location import Location

LEDGER_FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteEntry(_Part):
    """One suite as it was mirrored: the parent run, and checksums of what runs were made from."""

    parent: str  # run id
    content: str
    trials: dict[str, str]  # by trial key


class Ledger(_Part):
    """What was mirrored to where."""

    format: int = LEDGER_FORMAT
    locations: dict[str, dict[str, SuiteEntry]] = {}
    """By tracking URI without credentials, then by suite id."""

    def holds(self, where: Location, suite_id: str, content: str, trials: dict[str, str]) -> bool:
        """Tell whether a suite was mirrored there exactly as it is now."""
        entry = self.locations.get(str(where), {}).get(suite_id)
        if entry is None or (entry.content, entry.trials) != (content, trials):
            return False
        return where.database is None or _has_run(where.database, entry.parent)

    def with_entry(self, where: Location, suite_id: str, entry: SuiteEntry) -> Ledger:
        """Return a ledger that knows of one more mirrored suite."""
        suites = {**self.locations.get(str(where), {}), suite_id: entry}
        return Ledger(locations={**self.locations, str(where): suites})


def load(path: Path) -> Ledger:
    """Return the ledger at `path`; an empty one if it cannot be read."""
    try:
        return sealed.read(path, Ledger) or Ledger()
    except InitbenchError:
        return Ledger()


def save(path: Path, ledger: Ledger) -> None:
    """Write the ledger, whole or not at all."""
    atomic.write_bytes(path, sealed.seal(ledger))


def _has_run(database: Path, run_id: str) -> bool:
    """Tell whether a SQLite store, which may have been deleted or replaced, still has a run.

    Asked without mlflow, whose import alone takes seconds.
    """
    try:
        uri = f"file:{quote(str(database))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            rows = connection.execute(
                "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'", (run_id,)
            )
            return rows.fetchone() is not None
    except sqlite3.Error:
        return False
