"""Mirroring while a suite runs: one thread beside the planner, so that the MLflow UI fills."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from initbench.errors import UserError
from initbench.results import SuiteResults
from initbench.store.manifest import SuiteManifest
from initbench.store.record import Record
from initbench.store.store import Store
from initbench.tracking.connection import settings
from initbench.tracking.location import Location, location
from initbench.tracking.mirror import (
    Description,
    Mirror,
    SyncReport,
    add,
    describe,
    describe_trial,
    warning,
)
from initbench.tracking.session import Session

_LATER = "`initbench mlflow sync` completes the runs"


class BackgroundMirror:
    """Mirrors one suite from a thread of its own, the only one that touches MLflow.

    No method raises, and none but `finish` and `stop` waits. Nothing is imported or contacted
    before there is something to mirror. The caller holds the lock of the results folder and has
    stored the manifest, so that whatever a kill leaves open can be found and completed.
    """

    def __init__(self, store: Store, manifest: SuiteManifest, uri: str | None = None) -> None:
        self._store = store
        self._manifest = manifest
        self._entries = {entry.key: entry for entry in manifest.trials}
        self._work: queue.SimpleQueue[Record | Description | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._session: Session | None = None
        self._where: Location | None = None
        self._warning: str | None = None
        try:
            self._where = location(store.paths.root, uri)
        except UserError as error:
            self._warning = f"nothing is mirrored to MLflow: {error}"

    def trial(self, record: Record) -> None:
        """Mirror a record that was just committed; it is ignored if the suite has no such trial."""
        if record.key in self._entries:
            self._give(record)

    def finish(
        self,
        results: SuiteResults,
        seconds: float = 120.0,
        waiting: Callable[[int], None] = lambda left: None,
    ) -> SyncReport:
        """Mirror the suite's results and every trial that is not mirrored yet; say what was done.

        Waits for `seconds` at most; meanwhile, `waiting` is told several times a second how many
        trials are left. Ctrl-C ends the waiting.
        """
        if self._where is None:
            return SyncReport(uri="", how_to_open="", warning=self._warning)
        report = SyncReport(uri=str(self._where), how_to_open=self._where.how_to_open)
        try:
            wanted = describe(self._store, self._manifest, results)
            if self._thread is None and Mirror(self._store, self._where).is_current(wanted):
                return replace(report, suites=1, trials_skipped=len(wanted.trials))
            self._give(wanted)
            ended = self._wait(seconds, lambda: waiting(self._left(wanted)))
        except KeyboardInterrupt:
            self._stopped.set()
            return replace(report, warning=f"mirroring to MLflow was interrupted; {_LATER}")
        except Exception as error:
            return replace(report, warning=warning(error, self._where))
        if not ended:
            self._stopped.set()
            late = f"MLflow ({self._where}) took longer than {seconds:.0f} s; {_LATER}"
            return replace(report, warning=late)
        return replace(add(report, self._session), suites=1, warning=self._warning)

    def stop(self, seconds: float = 5.0) -> None:
        """Leave the rest for another time, when the suite was interrupted; wait briefly."""
        self._stopped.set()
        if self._thread is not None:
            self._work.put(None)
            with suppress(KeyboardInterrupt):
                self._wait(seconds, lambda: None)

    def _give(self, item: Record | Description) -> None:
        if self._where is None:
            return
        self._work.put(item)
        if self._thread is None:
            # A daemon: MLflow may hang for minutes, and the process must be able to end.
            self._thread = threading.Thread(
                target=self._run, args=(self._where,), name="mlflow-mirror", daemon=True
            )
            self._thread.start()

    def _run(self, where: Location) -> None:
        try:
            with settings():
                self._mirror(Mirror(self._store, where))
        except Exception as error:
            self._warning = warning(error, where)

    def _mirror(self, mirror: Mirror) -> None:
        """Take items until the description of the whole suite, the last one, is done."""
        self._session = session = mirror.open(self._manifest)
        while True:
            item = self._work.get()
            if item is None or self._stopped.is_set():
                session.interrupt()
                return
            if isinstance(item, Description):
                mirror.complete(session, item, self._stopped.is_set)
                return
            entry = self._entries[item.key]
            session.trial(item.key, describe_trial(self._store, self._manifest, entry, item))

    def _wait(self, seconds: float, waiting: Callable[[], None]) -> bool:
        """Wait for the thread to end; return whether it did."""
        assert self._thread is not None
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            waiting()
            self._thread.join(0.2)
        return not self._thread.is_alive()

    def _left(self, wanted: Description) -> int:
        session = self._session
        done = session.new + session.skipped if session else 0
        return max(0, len(wanted.trials) - done)
