from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from initbench.tracking import ledger
from initbench.tracking.location import location
from initbench.tracking.mirror import Mirror, describe
from tests import factories
from tests.tracking.worlds import all_records, lose, results_of, runs, stored, synced

MANIFEST = factories.manifest()


def test_the_ledger_spares_a_second_run_everything(root: Path) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    synced(store, manifest)
    wanted = describe(store, manifest, results_of(store, manifest))
    mirror = Mirror(store, location(root))
    assert mirror.is_current(wanted)
    assert not Mirror(store, location(root, "http://127.0.0.1:9")).is_current(wanted)


@pytest.mark.parametrize("damage", ["deleted", "truncated", "newer"])
def test_a_damaged_ledger_is_not_believed(root: Path, damage: str) -> None:
    store, manifest = stored(root, all_records(MANIFEST))
    synced(store, manifest)
    path = store.paths.mlflow_ledger
    if damage == "deleted":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        ledger.save(path, ledger.load(path).model_copy(update={"format": 99}))
    wanted = describe(store, manifest, results_of(store, manifest))
    assert not Mirror(store, location(root)).is_current(wanted)
    assert synced(store, manifest).trials_skipped == 6
    assert Mirror(store, location(root)).is_current(wanted)


@pytest.mark.parametrize("change", ["deleted", "replaced", "run deleted", "record changed"])
def test_the_ledger_notices_what_changed(root: Path, template: Path, change: str) -> None:
    records = all_records(MANIFEST)
    store, manifest = stored(root, records)
    report = synced(store, manifest)
    if change == "deleted":
        (root / "mlflow.db").unlink()
    elif change == "replaced":
        shutil.copy(template, root / "mlflow.db")
    elif change == "run deleted":
        from mlflow.tracking import MlflowClient

        MlflowClient(tracking_uri=report.uri).delete_run(runs(report.uri)[0].info.run_id)
    else:
        lose(root, records[0])
        stored(root, [records[0].model_copy(update={"attempts": 2})])
    wanted = describe(store, manifest, results_of(store, manifest))
    assert not Mirror(store, location(root)).is_current(wanted)
