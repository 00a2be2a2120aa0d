"""Results folders that were run, and what MLflow shows of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from initbench.results import SuiteResults
from initbench.store.manifest import SuiteManifest
from initbench.store.record import Record
from initbench.store.store import Store
from initbench.tracking.connection import EXPERIMENT, settings
from initbench.tracking.location import location
from initbench.tracking.mirror import SyncReport, sync
from tests import factories


def stored(
    root: Path, records: Sequence[Record], manifest: SuiteManifest | None = None
) -> tuple[Store, SuiteManifest]:
    """A results folder that holds these records and the suite they belong to."""
    manifest = manifest or factories.manifest()
    with Store(root).lock("test") as writer:
        writer.write_manifest(manifest)
        for record in records:
            writer.commit(record)
    return Store(root), manifest


def all_records(manifest: SuiteManifest) -> list[Record]:
    """A record for each trial of a suite."""
    return [
        factories.record(initialiser=entry.initialiser, seed=entry.seed)
        for entry in manifest.trials
    ]


def results_of(store: Store, manifest: SuiteManifest) -> SuiteResults:
    """Results whose trials are those of the suite; their numbers are made up."""
    records = store.records(entry.key for entry in manifest.trials)
    return factories.results(
        initialisers=[note.label for note in manifest.initialisers],
        seeds=len(manifest.seeds),
        trials={
            entry.key: records[entry.key].status.value if entry.key in records else "missing"
            for entry in manifest.trials
        },
    )


def synced(store: Store, manifest: SuiteManifest, uri: str | None = None) -> SyncReport:
    """Mirror one suite as `initbench mlflow sync` does."""
    suites = [(manifest, results_of(store, manifest))]
    return sync(store, location(store.paths.root, uri), suites)


def with_database(root: Path, template: Path) -> Path:
    """Give a results folder an MLflow database with a schema and nothing else in it."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, root / "mlflow.db")
    return root


def lose(root: Path, record: Record) -> None:
    """Forget a record, as a user does who deletes a file."""
    Store(root).paths.record(record.key).unlink()


def runs(uri: str) -> list[Any]:
    """All runs of the experiment that were not deleted, the parents first."""
    from mlflow.tracking import MlflowClient

    with settings():
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        found = list(client.search_runs([experiment.experiment_id], max_results=1000))
    return sorted(found, key=lambda run: (run.data.tags["initbench.kind"], run.info.run_name))


def shown(uri: str) -> dict[str, Any]:
    """What MLflow shows, run by run, without ids and without the times of parent runs."""
    from mlflow.tracking import MlflowClient

    with settings():
        client = MlflowClient(tracking_uri=uri)
        return {
            run.info.run_name: {
                "status": run.info.status,
                "params": run.data.params,
                "tags": {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"},
                "child": "mlflow.parentRunId" in run.data.tags,
                "metrics": {
                    name: sorted((m.step, m.value) for m in history(client, run, name))
                    for name in run.data.metrics
                },
                "artifacts": sorted(files_of(client, run.info.run_id)),
            }
            for run in runs(uri)
        }


def history(client: Any, run: Any, name: str) -> list[Any]:
    """All values of a metric."""
    found: list[Any] = client.get_metric_history(run.info.run_id, name)
    return found


def files_of(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    """The paths of all artifacts of a run."""
    found = []
    for entry in client.list_artifacts(run_id, folder):
        found += files_of(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return found
