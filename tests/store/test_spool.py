"""What workers leave is adopted once and whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from initbench.errors import CorruptRecordError, StoreError
from initbench.store.record import Record
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from tests.factories import record
from tests.store.worlds import (
    HE,
    LECUN,
    WEIGHTS,
    artifact,
    contents,
    damage,
    put,
)


def test_an_adopted_outcome_leaves_nothing_behind_in_the_spool(
    writer: StoreWriter, spool: Spool
) -> None:
    paths = [spool.put_record(HE, WEIGHTS), spool.put_artifact(artifact(), WEIGHTS)]
    assert writer.record(HE.key) is None  # not before it is adopted
    kept = [writer.adopt(path) for path in paths]
    assert kept == [writer.record(HE.key), writer.artifact(artifact().key)]
    assert writer.adopt_leftovers() == []
    assert list(writer.paths.spool.iterdir()) == []
    assert writer.warnings == []


def test_adopting_twice_is_adopting_once(writer: StoreWriter, spool: Spool) -> None:
    path = spool.put_record(HE, WEIGHTS)
    first = writer.adopt(path)
    before = contents(writer.paths.root)
    assert writer.adopt(path) == first
    assert contents(writer.paths.root) == before
    with pytest.raises(StoreError, match="is not there and was not adopted before"):
        writer.adopt(path.with_name(path.name.replace(HE.key, LECUN.key)))


def test_two_workers_may_spool_the_same_key(writer: StoreWriter, spool: Spool) -> None:
    changed = {name: x + 1 for name, x in WEIGHTS.items()}
    paths = [
        spool.put_record(record(notes=["first"]), WEIGHTS),
        spool.put_record(record(notes=["second"]), changed),
        Spool(writer.paths.spool / "run" / "worker-1").put_record(record(notes=["third"]), WEIGHTS),
    ]
    assert len(set(paths)) == 3
    for path in reversed(paths):
        kept = writer.adopt(path)
        assert isinstance(kept, Record)
        assert kept.notes == ["third"]
        assert writer.weights(kept, "best")["layer.bias"].sum() == 0
    assert len([name for name in contents(writer.paths.root) if name.startswith("blobs/")]) == 1


def test_outcomes_of_two_trials_may_share_their_tensors(writer: StoreWriter, spool: Spool) -> None:
    paths = [spool.put_record(x, WEIGHTS) for x in (HE, LECUN)]
    for path in paths:
        adopted = writer.adopt(path)
        assert isinstance(adopted, Record)
        assert writer.weights(adopted, "last")


def test_leftovers_of_dead_runs_are_adopted(store: Store) -> None:
    for run, outcome in (("run-1/worker-0", HE), ("run-1/worker-1", LECUN), ("run-2", HE)):
        Spool(store.paths.spool / run).put_record(outcome, WEIGHTS)
    Spool(store.paths.spool / "run-2").put_artifact(artifact(), WEIGHTS)
    put(store.paths.spool / "run-3" / f".tmp-99999999-{'0' * 16}", b"half")
    put(store.paths.spool / "run-4" / f"{'0' * 64}.safetensors", b"an outcome that never came")
    with store.lock("next run") as writer:
        adopted = writer.adopt_leftovers()
        assert sorted(outcome.key for outcome in adopted) == sorted(
            [HE.key, HE.key, LECUN.key, artifact().key]
        )
        assert list(store.paths.spool.iterdir()) == []
        assert writer.warnings == []


def test_corrupt_outcomes_are_set_aside_and_the_good_ones_adopted(
    store: Store, writer: StoreWriter, spool: Spool
) -> None:
    damage(spool.put_record(HE), where=200)
    spool.put_record(LECUN)
    put(spool.folder / "surprise.json", b"{}")
    assert [outcome.key for outcome in writer.adopt_leftovers()] == [LECUN.key]
    assert writer.record(HE.key) is None
    assert len(writer.warnings) == 2
    assert list(store.paths.spool.iterdir()) == []


def test_an_outcome_with_damaged_or_missing_tensors_is_not_adopted(
    writer: StoreWriter, spool: Spool
) -> None:
    for spoil in (damage, Path.unlink):
        path = spool.put_record(HE, WEIGHTS)
        spoil(next(spool.folder.glob("*.safetensors")))
        with pytest.raises(CorruptRecordError, match=r"safetensors` (is corrupt|is missing)"):
            writer.adopt(path)
        assert writer.record(HE.key) is None
        assert not path.exists()
    assert not writer.paths.blobs.exists()


def test_an_outcome_under_a_false_name_is_not_adopted(writer: StoreWriter, spool: Spool) -> None:
    path = spool.put_record(HE)
    false = path.rename(path.with_name(path.name.replace(HE.key, LECUN.key)))
    with pytest.raises(CorruptRecordError, match=f"it holds `{HE.key}`"):
        writer.adopt(false)
    assert writer.keys() == []


def test_only_files_in_the_spool_are_adopted(
    writer: StoreWriter, tmp_path: Path, spool: Spool
) -> None:
    outside = Spool(tmp_path / "elsewhere").put_record(HE)
    for path in (outside, spool.folder / ".." / ".." / ".." / ".." / "elsewhere" / outside.name):
        with pytest.raises(StoreError, match="is not in the spool"):
            writer.adopt(path)
    assert outside.exists()


def test_adoption_does_not_depend_on_how_the_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Spool(tmp_path / "results" / "spool" / "run").put_record(HE, WEIGHTS)
    with Store(Path("results")).lock("relative") as writer:
        assert writer.adopt(path).key == HE.key


def test_an_outcome_that_the_store_would_refuse_is_refused_when_it_is_spooled(
    spool: Spool,
) -> None:
    with pytest.raises(StoreError, match="is not that of its identity"):
        spool.put_record(record(key="0" * 64))
    with pytest.raises(StoreError, match="cannot be stored: Out of range float"):
        spool.put_artifact(artifact(description={"loss": float("nan")}))
    assert list(spool.folder.glob("*.json")) == []
