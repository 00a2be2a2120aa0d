"""Mirroring suites to MLflow: described from records, compared, completed, noted in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from initbench.results import SuiteResults
from initbench.store.manifest import SuiteManifest, TrialEntry
from initbench.store.record import Record
from initbench.store.store import Store
from initbench.tracking import ledger
from initbench.tracking.connection import connect, experiment_id, explain, settings
from initbench.tracking.content import SuiteRun, TrialRun, suite_run, trial_run
from initbench.tracking.ledger import SuiteEntry
from initbench.tracking.location import Location
from initbench.tracking.session import Session, now_ms

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class SyncReport:
    """What mirroring did."""

    uri: str  # without credentials
    how_to_open: str
    suites: int = 0
    trials_new: int = 0  # made, completed or brought up to date
    trials_skipped: int = 0  # complete already
    closed: int = 0  # runs that a killed process had left RUNNING
    warning: str | None = None  # why something is missing


@dataclass(frozen=True)
class Description:
    """What MLflow is to say about one suite."""

    manifest: SuiteManifest
    suite: SuiteRun
    trials: dict[str, TrialRun]  # by key

    @cached_property
    def checksums(self) -> dict[str, str]:
        """The checksum of each trial's run."""
        return {key: run.checksum for key, run in self.trials.items()}


def describe(store: Store, manifest: SuiteManifest, results: SuiteResults) -> Description:
    """Return what MLflow is to say about a suite: from results, records and nothing else."""
    from initbench.leaderboard.plots import convergence_svg
    from initbench.reporting import to_csv, to_json

    artifacts = {
        "results.csv": to_csv(results),
        "results.json": json.dumps(to_json(results), indent=1, ensure_ascii=False),
        **{f"plots/{name}.svg": svg for name, svg in convergence_svg(results).items()},
    }
    records = store.records(entry.key for entry in manifest.trials)
    trials = {
        entry.key: describe_trial(store, manifest, entry, records[entry.key])
        for entry in manifest.trials
        if entry.key in records
    }
    return Description(manifest, suite_run(manifest, results, artifacts), trials)


def describe_trial(
    store: Store, manifest: SuiteManifest, entry: TrialEntry, record: Record
) -> TrialRun:
    """Return what MLflow is to say about a trial of a suite."""
    committed = store.paths.record(record.key).stat().st_mtime
    return trial_run(manifest, entry, record, ended_seconds=committed)


class Mirror:
    """Brings MLflow up to date with one results folder; MLflow is reached when first needed.

    Methods raise whatever MLflow raises; `sync` and `BackgroundMirror` make warnings of it. Use it
    inside `settings()`, from one thread, in the process that holds the lock of the results folder.
    """

    def __init__(self, store: Store, where: Location) -> None:
        self._store = store
        self._where = where

    def is_current(self, wanted: Description) -> bool:
        """Tell whether the ledger says that nothing is to be done; MLflow is not asked."""
        noted = ledger.load(self._store.paths.mlflow_ledger)
        manifest = wanted.manifest
        return noted.holds(self._where, manifest.id, wanted.suite.checksum, wanted.checksums)

    def open(self, manifest: SuiteManifest) -> Session:
        """Find the runs of a suite."""
        return Session(self._client, self._experiment, manifest)

    def complete(
        self, session: Session, wanted: Description, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Make the runs of a suite say what is wanted, and note it in the ledger.

        `stopped` is asked before each trial; once it says yes, the parent run is ended and the
        rest left for another time.
        """
        runs = wanted.trials.values()
        session.started_ms = min((run.started_ms for run in runs), default=now_ms())
        for key, run in wanted.trials.items():
            if stopped():
                session.interrupt()
                return
            session.trial(key, run)
        ended_ms = max((run.ended_ms for run in runs), default=now_ms())
        session.finish(wanted.suite, (entry.key for entry in wanted.manifest.trials), ended_ms)
        entry = SuiteEntry(
            parent=session.parent_id, content=wanted.suite.checksum, trials=wanted.checksums
        )
        path = self._store.paths.mlflow_ledger
        ledger.save(path, ledger.load(path).with_entry(self._where, wanted.manifest.id, entry))

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._where)

    @cached_property
    def _experiment(self) -> str:
        return experiment_id(self._client, self._where)


def sync(
    store: Store, where: Location, suites: Iterable[tuple[SuiteManifest, SuiteResults]]
) -> SyncReport:
    """Compare every suite with MLflow and complete what is missing; never raises for MLflow.

    The ledger is not believed, only rewritten. The caller holds the lock of the results folder.
    """
    report = SyncReport(uri=str(where), how_to_open=where.how_to_open)
    mirror = Mirror(store, where)
    with settings():
        for manifest, results in suites:
            wanted = describe(store, manifest, results)
            session: Session | None = None
            try:
                session = mirror.open(manifest)
                mirror.complete(session, wanted)
            except Exception as error:
                return replace(add(report, session), warning=warning(error, where))
            report = replace(add(report, session), suites=report.suites + 1)
    return report


def add(report: SyncReport, session: Session | None) -> SyncReport:
    """Return a report that counts what a session did."""
    if session is None:
        return report
    return replace(
        report,
        trials_new=report.trials_new + session.new,
        trials_skipped=report.trials_skipped + session.skipped,
        closed=report.closed + session.closed,
    )


def warning(error: BaseException, where: Location) -> str:
    """Say in one line that, and why, MLflow lacks something, and what to do."""
    return (
        f"MLflow ({where}) lacks runs: {explain(error, where)}. Records are not affected; "
        "`initbench mlflow sync` completes the runs"
    )
