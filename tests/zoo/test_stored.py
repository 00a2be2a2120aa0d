"""Zoos of a store: who belongs together, what is said of them, what is read of their weights."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch

from initbench.errors import StoreError, UserError
from initbench.store.record import TrialStatus
from initbench.store.store import Store
from initbench.zoo.describe import description, line
from initbench.zoo.members import member_of, validation_after, zoo_of
from initbench.zoo.stored import StoredZoo, stored_zoo, zoos_of
from tests.factories import record
from tests.zoo import worlds


def test_trials_that_are_equal_but_for_the_seed_are_a_zoo(zoo: StoredZoo) -> None:
    assert list(zoo.records) == [1_000_000 + i for i in range(worlds.NETWORKS)]
    assert zoo.counts == {"done": worlds.NETWORKS}
    assert zoo.kept_epochs == zoo.epochs == [0, 1, 2]
    assert list(zoo.parts.values()) == ["train"] * 5 + ["validation", "test"]


def test_trials_that_differ_otherwise_and_single_ones_are_not() -> None:
    records = [record(seed=seed, initialiser=name) for seed in range(3) for name in ("he", "xa")]
    records.append(record(initialiser="alone"))
    zoos = zoos_of(records)
    assert [list(found.records) for found in zoos] == [[0, 1, 2], [0, 1, 2]]


def test_members_have_the_weights_and_accuracies_of_each_kept_epoch(
    store: Store, zoo: StoredZoo
) -> None:
    found = zoo_of(store, [r.key for r in zoo.records.values()] + ["0" * 64])
    assert (len(found), found.missing) == (worlds.NETWORKS, 1)
    for member, trial in zip(found, zoo.records.values(), strict=True):
        assert list(member.checkpoints) == [0, 1, 2]
        last = member.checkpoints[2]
        assert last.weights.keys() == member.last.keys()
        assert all(torch.equal(last.weights[name], x) for name, x in member.last.items())
        assert len(last.weights) == len(member.last) == 10
        curve = trial.curves["validation_accuracy"]
        assert [c.validation_accuracy for c in member.checkpoints.values()] == curve.values
        tests = [member.checkpoints[epoch].test_accuracy for epoch in (0, 1, 2)]
        assert tests == [
            trial.final["test_accuracy.initial"],
            None,
            trial.final["test_accuracy.last"],
        ]


def test_weights_are_one_tensor_a_name_and_read_when_they_are_used(
    store: Store, zoo: StoredZoo
) -> None:
    trial = zoo.done[0]
    kept = store.states(trial)["kept"]
    assert {x.shape[0] for x in kept.values()} == {3}
    member = member_of(store, trial)
    one, other = (member.checkpoints[1].weights["conv1.weight"] for _ in range(2))
    assert one.data_ptr() == other.data_ptr(), "views of the mapped file, no copies"


def test_damaged_weights_are_refused(results: Path, tmp_path: Path, zoo: StoredZoo) -> None:
    shutil.copytree(results, tmp_path / "copy")
    copied = Store(tmp_path / "copy")
    assert zoo.done[0].weights is not None
    path = copied.blob_path(zoo.done[0].weights)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="corrupt"):
        member_of(copied, zoo.done[0])


def test_accuracies_that_nobody_knows_are_left_out() -> None:
    assert math.isnan(validation_after(record(), 7))
    assert math.isnan(validation_after(record(curves={}), 0))


def test_members_that_diverged_are_counted_and_not_split(zoo: StoredZoo) -> None:
    records = dict(zoo.records)
    seed, first = next(iter(records.items()))
    records[seed] = first.model_copy(update={"status": TrialStatus.DIVERGED})
    other = StoredZoo(zoo.identity, records)
    assert other.counts == {"diverged": 1, "done": worlds.NETWORKS - 1}
    assert list(other.parts.values()) == ["train"] * 4 + ["validation", "test"]
    assert seed not in other.parts
    shown = description(other)
    assert shown["members"][0]["part"] is None
    assert shown["split"].startswith("4 / 1 / 1 (in the order of the seeds")


def test_a_zoo_is_found_by_the_first_characters_of_its_key(store: Store, zoo: StoredZoo) -> None:
    found = stored_zoo(store, zoo.key[:6].upper())
    assert found.key == zoo.key
    with pytest.raises(UserError, match="`initbench zoo list` lists them"):
        stored_zoo(store, "zz")


def test_accuracies_are_quantiles_over_members(zoo: StoredZoo) -> None:
    shown = description(zoo)
    rows = {(row["epoch"], row["split"]): row["accuracy"] for row in shown["accuracies"]}
    assert set(rows) == {
        (0, "validation"),
        (0, "test"),
        (1, "validation"),
        (2, "validation"),
        (2, "test"),
    }
    last = sorted(r.final["validation_accuracy.last"] for r in zoo.done)
    low, *_, high = rows[2, "validation"]
    assert (low, high) == (last[0], last[-1])
    assert rows[2, "validation"][3] == last[3]
    assert line(zoo)["recipe"] == "adam, rate 0.01, batches of 32, 2 epochs"
