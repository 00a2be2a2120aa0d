"""A zoo that is handed on arrives bit for bit, and what was tampered with does not arrive."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from initbench.errors import InitbenchError, UserError
from initbench.execution.run import pending
from initbench.plugin.registry import Registry
from initbench.store.identity import digest
from initbench.store.record import TrialStatus
from initbench.store.store import Store
from initbench.zoo import bundle
from initbench.zoo.bundle import INDEX, RECORDS, export
from initbench.zoo.members import zoo_of
from initbench.zoo.stored import StoredZoo, stored_zoos
from initbench.zoo.taking_in import NOTE, TakenIn, take_in
from tests.zoo import worlds

SHARD = "shard-0000.safetensors"


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "zoo"
    store = Store(results)
    (zoo,) = stored_zoos(store)
    export(zoo, store, folder)
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "zoo"))


def imported(path: Path, results: Path) -> TakenIn:
    with Store(results).lock("a test") as writer:
        return take_in(path, writer, Registry.installed())


def test_a_zoo_arrives_bit_for_bit(
    folder: Path, store: Store, zoo: StoredZoo, tmp_path: Path
) -> None:
    taken = imported(folder, tmp_path / "other")
    assert (taken.key, taken.added, taken.already_there) == (zoo.key, worlds.NETWORKS, 0)
    assert taken.warnings == ()
    other = Store(tmp_path / "other")
    (found,) = stored_zoos(other)
    for before, after in zip(zoo.records.values(), found.records.values(), strict=True):
        assert after.notes == [*before.notes, NOTE]
        assert after.model_copy(update={"notes": before.notes}) == before
    keys = [record.key for record in zoo.done]
    for one, same in zip(zoo_of(store, keys), zoo_of(other, keys), strict=True):
        for name, tensor in one.best.items():
            assert torch.equal(tensor, same.best[name])
            for epoch in one.checkpoints:
                weights = (one.checkpoints[epoch].weights, same.checkpoints[epoch].weights)
                assert torch.equal(weights[0][name], weights[1][name])
    plan = worlds.suite_plan(tmp_path)
    assert pending(plan, other).zoo_trials == {}, "a fit finds them as trained"


def test_the_index_says_what_a_reader_without_initbench_needs(folder: Path, zoo: StoredZoo) -> None:
    index = json.loads((folder / INDEX).read_text())
    assert digest(index["identity"]) == index["key"] == zoo.key
    assert index["split"] == "in the order of the seeds, 70 % training, 15 % validation, 15 % test"
    assert [m["part"] for m in index["members"]] == ["train"] * 5 + ["validation", "test"]
    assert [a["epoch"] for a in index["members"][0]["accuracies"]] == [0, 1, 2]
    (shard,) = index["shards"]
    data = (folder / shard["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == shard["digest"]
    with safetensors.safe_open(folder / shard["file"], framework="pt") as file:
        part = file.get_slice("kept.linear2.weight")
        assert part.get_shape() == [worlds.NETWORKS, 3, 10, 20]
        row = shard["seeds"].index(1_000_003)
        assert torch.equal(part[row, 2], file.get_tensor("last.linear2.weight")[row])


def test_what_is_there_already_stays(folder: Path, tmp_path: Path) -> None:
    imported(folder, tmp_path / "other")
    taken = imported(folder / INDEX, tmp_path / "other")
    assert (taken.added, taken.already_there) == (0, worlds.NETWORKS)


def test_weights_that_are_gone_come_back(folder: Path, zoo: StoredZoo, tmp_path: Path) -> None:
    imported(folder, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "blobs")
    assert imported(folder, tmp_path / "other").added == worlds.NETWORKS
    assert len(zoo_of(Store(tmp_path / "other"), [r.key for r in zoo.done])) == worlds.NETWORKS


def test_networks_are_divided_into_shards(
    store: Store, zoo: StoredZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MOST_MEMBERS", 3)
    index = export(zoo, store, tmp_path / "zoo")
    assert [len(shard.seeds) for shard in index.shards] == [3, 3, 1]
    assert imported(tmp_path / "zoo", tmp_path / "other").added == worlds.NETWORKS
    monkeypatch.setattr(bundle, "MOST_BYTES", 1)
    assert len(export(zoo, store, tmp_path / "single").shards) == worlds.NETWORKS


def test_members_that_diverged_come_without_weights(
    store: Store, zoo: StoredZoo, tmp_path: Path
) -> None:
    records = dict(zoo.records)
    seed, first = next(iter(records.items()))
    records[seed] = first.model_copy(update={"status": TrialStatus.DIVERGED})
    export(StoredZoo(zoo.identity, records), store, tmp_path / "zoo")
    assert imported(tmp_path / "zoo", tmp_path / "other").added == worlds.NETWORKS
    (found,) = stored_zoos(Store(tmp_path / "other"))
    assert found.counts == {"diverged": 1, "done": worlds.NETWORKS - 1}
    assert found.records[seed].weights is None


def test_a_folder_that_holds_something_is_left_alone(
    store: Store, zoo: StoredZoo, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="not empty"):
            export(zoo, store, place)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# --- hostile exports ----------------------------------------------------------------------------


def change_index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


def replace(folder: Path, name: str, data: bytes) -> None:
    """Replace a file, and let the index say so: a forger does that, too."""
    (folder / name).write_bytes(data)

    def said(index: dict[str, Any]) -> None:
        for file in [index["records"], *index["shards"]]:
            if file["file"] == name:
                file |= {"digest": hashlib.sha256(data).hexdigest(), "bytes": len(data)}

    change_index(folder, said)


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = safetensors.torch.load((folder / SHARD).read_bytes())
    change(tensors)
    replace(folder, SHARD, safetensors.torch.save(tensors))


def change_records(folder: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    records = [json.loads(line) for line in (folder / RECORDS).read_text().splitlines()]
    change(records)
    replace(folder, RECORDS, "".join(f"{json.dumps(r)}\n" for r in records).encode())


def flip(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)


def link(folder: Path) -> None:
    moved = folder.parent / "elsewhere"
    (folder / SHARD).rename(moved)
    (folder / SHARD).symlink_to(moved)


TAMPERED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a byte of a shard": (lambda f: flip(f, SHARD), "does not fit its digest"),
    "a byte of the records": (lambda f: flip(f, RECORDS), "does not fit its digest"),
    "a shard cut short": (
        lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes()[:-9]),
        "not the file in the index",
    ),
    "a missing shard": (lambda f: (f / SHARD).unlink(), "cannot read"),
    "a shard behind a link": (link, "no regular file"),
    "no index": (lambda f: (f / INDEX).unlink(), "that `initbench zoo export` made"),
    "an index of nothing": (lambda f: (f / INDEX).write_text("{"), "is no index of a zoo"),
    "an index of a later version": (
        lambda f: change_index(f, lambda i: i.update(format=2)),
        "format: Input should be 1",
    ),
    "a path out of the folder": (
        lambda f: change_index(f, lambda i: i["shards"][0].update(file="../secret")),
        "shards.0.file",
    ),
    "an absolute path": (
        lambda f: change_index(f, lambda i: i["records"].update(file="/etc/passwd")),
        "records.file",
    ),
    "another identity": (
        lambda f: change_index(f, lambda i: i["identity"]["recipe"].update(epochs=3)),
        "not the digest of its identity",
    ),
    "a NaN": (
        lambda f: change_tensors(f, lambda t: t["kept.linear2.bias"][2, 1].fill_(torch.nan)),
        "`kept.linear2.bias` of the network with seed 1000002 is not finite",
    ),
    "another shape": (
        lambda f: change_tensors(
            f, lambda t: t.update({"last.linear2.bias": torch.zeros(worlds.NETWORKS, 11)})
        ),
        r"expected `last.linear2.bias` to be float32 \(7, 10\), found float32 \(7, 11\)",
    ),
    "another type": (
        lambda f: change_tensors(
            f, lambda t: t.update({"last.linear2.bias": t["last.linear2.bias"].double()})
        ),
        "found float64",
    ),
    "a tensor too many": (
        lambda f: change_tensors(f, lambda t: t.update(extra=torch.zeros(1))),
        "expected `extra` to be absent",
    ),
    "no safetensors": (lambda f: replace(f, SHARD, b"\x80\x04pickle"), "corrupt"),
    "parameters of another model": (
        lambda f: change_index(f, lambda i: i["parameters"][0].update(shape=[1])),
        "do not fit model `zoo_cnn`",
    ),
    "members that have no record": (
        lambda f: change_records(f, lambda r: r.pop()),
        "other networks than its records",
    ),
    "a record of another trial": (
        lambda f: change_records(f, lambda r: r[0]["identity"].update(seed=5)),
        "not the digest of its identity",
    ),
    "a record of another zoo": (
        lambda f: change_records(f, lambda r: _renamed(r[0])),
        "of another zoo than the index",
    ),
    "a record of another protocol": (
        lambda f: change_records(f, lambda r: r[0]["identity"].update(protocol=0)),
        "must not be mixed",
    ),
    "a record that kept other epochs": (
        lambda f: change_records(f, lambda r: r[0].update(kept_epochs=[0])),
        "kept other epochs",
    ),
    "a lost trial": (lambda f: change_records(f, lambda r: r[0].update(status="lost")), "lost"),
    "an identity of nothing": (lambda f: change_identity(f, _without_model), "not that of a trial"),
    "a recipe of nothing": (
        lambda f: change_identity(f, lambda i: i.update(recipe={"epochs": 2})),
        "`optimiser`",
    ),
    "a recipe that keeps other epochs": (
        lambda f: change_identity(f, lambda i: i["recipe"]["evaluation"].pop("kept_epochs")),
        "keeps other epochs",
    ),
    "a model that nobody has": (
        lambda f: change_identity(f, lambda i: i["model"].update(name="zoo_cn")),
        "did you mean `zoo_cnn`",
    ),
    "a number that is not finite": (
        lambda f: change_records(f, lambda r: r[0]["final"].update({"test_loss.last": 1e999})),
        "line 1: a number is not finite",
    ),
    "a record with more in it": (
        lambda f: change_records(f, lambda r: r[0].update(more=1)),
        "line 1: no record",
    ),
}


def change_identity(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what the networks are said to be, everywhere, so that all keys fit again."""

    def whole(index: dict[str, Any]) -> None:
        change(index["identity"])
        index["key"] = digest(index["identity"])

    def each(records: list[dict[str, Any]]) -> None:
        for record in records:
            change(record["identity"])
            record["key"] = digest(record["identity"])

    change_index(folder, whole)
    change_records(folder, each)


def _without_model(identity: dict[str, Any]) -> None:
    del identity["model"]


def _renamed(record: dict[str, Any]) -> None:
    record["identity"]["initialiser"]["name"] = "xavier"
    record["key"] = digest(record["identity"])


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_tampered_with_is_refused_and_nothing_is_stored(
    case: str, folder: Path, tmp_path: Path
) -> None:
    tamper, reason = TAMPERED[case]
    tamper(folder)
    with pytest.raises(InitbenchError, match=reason):
        imported(folder, tmp_path / "other")
    assert Store(tmp_path / "other").keys() == []


def test_something_else_than_an_export_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (folder / SHARD, tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match=r"zoo\.json|cannot read"):
            imported(path, tmp_path / "other")
