"""The store keeps what was committed, finds it again, and never replaces a scored trial."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from initbench.errors import CorruptRecordError, StoreError
from initbench.store.record import TrialStatus
from initbench.store.sealed import seal
from initbench.store.store import Store, StoreWriter
from tests.factories import manifest, record
from tests.store.worlds import (
    HE,
    LECUN,
    WEIGHTS,
    artifact,
    commit_artifact,
    contents,
    die,
    in_child,
    put,
)


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) and left[name].dtype == right[name].dtype
        for name in left
    )


# --- reading --------------------------------------------------------------------------------------


def test_reading_a_folder_that_is_not_there_finds_nothing_and_makes_nothing(store: Store) -> None:
    assert store.record(HE.key) is None
    assert store.status(HE.key) is None
    assert store.records([HE.key]) == {}
    assert store.keys() == []
    assert store.find("ab") == []
    assert store.artifact(HE.key) is None
    assert store.manifests() == []
    assert store.manifest("0" * 16) is None
    assert not store.paths.root.exists()


def test_reading_changes_nothing(store: Store) -> None:
    with store.lock("fill") as writer:
        writer.commit(HE, WEIGHTS)
        fitted = commit_artifact(writer, artifact(), WEIGHTS)
        writer.write_manifest(manifest())
    (store.paths.record(LECUN.key)).parent.mkdir(exist_ok=True)
    store.paths.record(LECUN.key).write_bytes(b"damaged")
    before = contents(store.paths.root)
    found = store.record(HE.key)
    assert found is not None
    store.weights(found, "best")
    store.tensors(fitted)
    store.manifests()
    with pytest.raises(CorruptRecordError):
        store.records(store.keys())
    assert contents(store.paths.root) == before


def test_what_was_committed_is_found_again(store: Store, writer: StoreWriter) -> None:
    kept = writer.commit(HE, WEIGHTS)
    lost = writer.commit(record(initialiser="lecun", status=TrialStatus.LOST))
    assert kept.weights is not None
    assert kept == HE.model_copy(update={"weights": kept.weights})
    assert store.record(HE.key) == kept
    assert store.status(HE.key) is TrialStatus.DONE
    assert store.status(lost.key) is TrialStatus.LOST
    assert store.keys() == sorted([HE.key, LECUN.key])
    assert store.records([LECUN.key, "0" * 64, HE.key]) == {LECUN.key: lost, HE.key: kept}
    assert store.find(HE.key[:7]) == [HE.key]
    assert store.find("") == store.keys()
    assert store.find("../") == store.find(HE.key + "0") == store.find("XY") == []
    best = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.zeros(2)}
    assert same(store.weights(kept, "best"), best)
    assert same(store.weights(kept, "last"), {name: x + 1 for name, x in best.items()})
    assert store.has_blob(kept.weights)
    assert store.blob_path(kept.weights).stat().st_size == kept.weights.bytes


def test_a_trial_without_weights_says_so(store: Store, writer: StoreWriter) -> None:
    kept = writer.commit(record(status=TrialStatus.FAILED))
    with pytest.raises(StoreError, match=rf"{kept.key}` \(failed\) left no weights"):
        store.weights(kept, "best")


def test_artifacts_come_with_their_tensors(store: Store, writer: StoreWriter) -> None:
    tensors = {
        "images": torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4),
        "labels": torch.tensor([3, 7]),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 3),
        "number": torch.tensor(2.5),
    }
    kept = commit_artifact(writer, artifact(), tensors)
    assert store.artifact(kept.key) == writer.artifact(kept.key) == kept
    assert same(store.tensors(kept), tensors)
    failed = commit_artifact(writer, artifact("ghn", status=TrialStatus.FAILED))
    assert store.tensors(failed) == {}


def test_tied_sliced_and_differentiable_tensors_are_stored_as_they_look(
    store: Store, writer: StoreWriter
) -> None:
    stack = torch.arange(24.0).reshape(2, 3, 4)
    tensors = {
        "first": stack[0],
        "again": stack[0],
        "turned": stack[1].T,
        "parameter": torch.nn.Parameter(torch.ones(3)),
    }
    kept = commit_artifact(writer, artifact(), tensors)
    assert kept.blob is not None
    assert kept.blob.bytes < 1000  # the slice, not the stack behind it
    assert same(store.tensors(kept), {name: x.detach().clone() for name, x in tensors.items()})


def test_the_same_tensors_in_another_order_are_the_same_blob(writer: StoreWriter) -> None:
    first = writer.commit(HE, WEIGHTS)
    second = writer.commit(LECUN, dict(reversed(WEIGHTS.items())))
    assert first.weights == second.weights


def test_writing_to_loaded_tensors_does_not_change_the_store(
    store: Store, writer: StoreWriter
) -> None:
    kept = writer.commit(HE, WEIGHTS)
    store.weights(kept, "best")["layer.weight"].fill_(99)
    assert same(
        store.weights(kept, "best"),
        {"layer.weight": WEIGHTS["best.layer.weight"], "layer.bias": torch.zeros(2)},
    )


def test_manifests_are_replaced_by_variant_and_listed_by_name(
    store: Store, writer: StoreWriter
) -> None:
    variants = [manifest(name="b"), manifest(name="a", profile="smoke"), manifest(name="a")]
    for variant in variants:
        writer.write_manifest(variant)
    newer = manifest(name="b", title="A better title")
    writer.write_manifest(newer)
    (store.paths.suites / "notes.json.txt").write_text("mine")
    assert store.manifests() == [variants[2], variants[1], newer]
    assert store.manifest(newer.id) == newer


# --- what may replace what ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [TrialStatus.DONE, TrialStatus.DIVERGED, TrialStatus.FAILED])
@pytest.mark.parametrize("later", list(TrialStatus))
def test_a_scored_record_is_never_replaced(
    writer: StoreWriter, status: TrialStatus, later: TrialStatus
) -> None:
    first = writer.commit(record(status=status, notes=["first"]))
    before = contents(writer.paths.root)
    assert writer.commit(record(status=later, notes=["later"])) == first
    assert contents(writer.paths.root) == before


def test_a_lost_record_is_replaced_until_the_trial_is_scored(writer: StoreWriter) -> None:
    for attempts, status in enumerate([TrialStatus.LOST, TrialStatus.LOST, TrialStatus.DONE], 1):
        kept = writer.commit(record(status=status, attempts=attempts))
        assert (kept.status, kept.attempts) == (status, attempts)
    assert writer.commit(record(status=TrialStatus.LOST, attempts=9)) == kept


def test_a_record_whose_weights_are_gone_is_replaced(store: Store, writer: StoreWriter) -> None:
    first = writer.commit(HE, WEIGHTS)
    assert first.weights is not None
    store.blob_path(first.weights).unlink()
    assert store.record(HE.key) == first  # still good for tables
    assert not store.has_blob(first.weights)
    with pytest.raises(StoreError, match=r"is not there; copy it from the results folder"):
        store.weights(first, "best")
    again = writer.commit(record(initialiser="he", notes=["again"]), WEIGHTS)
    assert again.notes == ["again"]
    assert store.weights(again, "best")


def test_an_artifact_without_its_tensors_is_made_again(store: Store, writer: StoreWriter) -> None:
    first = commit_artifact(writer, artifact(), WEIGHTS)
    assert first.blob is not None
    store.blob_path(first.blob).unlink()
    assert store.artifact(first.key) == first
    assert writer.artifact(first.key) is None
    assert commit_artifact(writer, artifact(), WEIGHTS) == first
    assert writer.artifact(first.key) == first


def test_deleting_forgets_a_trial_and_keeps_the_rest(store: Store, writer: StoreWriter) -> None:
    kept = [writer.commit(HE, WEIGHTS), writer.commit(LECUN, WEIGHTS)]
    fitted = commit_artifact(writer, artifact(), WEIGHTS)
    for key in (HE.key, fitted.key, fitted.key):
        writer.delete(key)
    assert store.records([HE.key, LECUN.key]) == {LECUN.key: kept[1]}
    assert store.artifact(fitted.key) is None
    assert store.weights(kept[1], "best")  # the same tensors as those of the deleted one


# --- claims ---------------------------------------------------------------------------------------


def test_claims_of_a_killed_planner_are_known_to_the_next(store: Store) -> None:
    def planner() -> None:
        with store.lock("run") as writer:
            writer.claim(HE.key, 1)
            writer.claim(LECUN.key, 2)
            writer.claim("0" * 64, 1)
            writer.commit(HE)
            writer.release("0" * 64)
            assert writer.interrupted() == {}
            die()

    assert in_child(planner) == -signal.SIGKILL
    with store.lock("run") as writer:
        assert writer.interrupted() == {LECUN.key: 2}
        writer.claim(LECUN.key, 3)
        assert writer.interrupted() == {}
        writer.commit(record(initialiser="lecun", status=TrialStatus.LOST))
        assert list(store.paths.claims.iterdir()) == []
        assert writer.interrupted() == {}


def test_a_claim_on_a_committed_trial_is_cleared_away(store: Store) -> None:
    with store.lock("run") as writer:
        writer.commit(HE)
        writer.claim(HE.key, 1)
        commit_artifact(writer, artifact())
        writer.claim(artifact().key, 1)
    with store.lock("run") as writer:
        assert writer.interrupted() == {}
        assert list(store.paths.claims.iterdir()) == []


def test_a_corrupt_claim_is_set_aside(store: Store) -> None:
    put(store.paths.claim(HE.key), b"{}")
    with store.lock("run") as writer:
        assert writer.interrupted() == {}
        assert "is no sealed file" in writer.warnings[0]


# --- sharing --------------------------------------------------------------------------------------


def test_two_stores_are_merged_by_copying(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in ("a", "b")]
    with stores[0].lock("run") as writer:
        writer.commit(HE, WEIGHTS)
        writer.commit(record(initialiser="xavier", notes=["mine"]))
    with stores[1].lock("run") as writer:
        writer.commit(LECUN, {name: x + 1 for name, x in WEIGHTS.items()})
        writer.commit(record(initialiser="xavier", notes=["theirs"]))
    both = {*stores[0].keys(), *stores[1].keys()}
    for part in ("records", "blobs"):
        shutil.copytree(tmp_path / "a" / part, tmp_path / "b" / part, dirs_exist_ok=True)
    merged = stores[1].records(stores[1].keys())
    assert set(merged) == both
    for key in (HE.key, LECUN.key):
        assert stores[1].weights(merged[key], "best")


def test_a_copy_that_broke_off_is_noticed(store: Store) -> None:
    put(store.paths.record(HE.key), seal(HE)[:-100])
    with store.lock("run") as writer:
        assert writer.records(writer.keys()) == {}
        assert writer.commit(HE) == HE


def test_readers_see_every_commit_whole_while_others_write(store: Store) -> None:
    keys = [record(seed=seed).key for seed in range(20)]

    def write() -> None:
        with store.lock("run") as writer:
            for seed in range(20):
                writer.commit(record(seed=seed, status=TrialStatus.LOST), WEIGHTS)
                writer.commit(record(seed=seed), WEIGHTS)

    child = os.fork()
    if child == 0:
        os._exit(in_child(write))
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        for found in store.records(keys).values():
            assert store.weights(found, "best")
    assert all(found.status is TrialStatus.DONE for found in store.records(keys).values())
    assert len(store.keys()) == 20
