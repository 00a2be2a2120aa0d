"""Public zoos are read through a narrow door, and never pass for networks of ours."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.errors import UserError
from initbench.models.zoo_cnn import ZooCNN, ZooCNNConfig
from initbench.plugin.registry import Registry
from initbench.store.artifact import StoredArtifact
from initbench.store.store import Store
from initbench.zoo.bundle import export
from initbench.zoo.describe import foreign_description, foreign_line
from initbench.zoo.foreign import NAMES, foreign_zoos, take_in_public
from initbench.zoo.stored import stored_zoo, stored_zoos

NETWORKS = ("NN_tune_trainable_1", "NN_tune_trainable_2", "NN_tune_trainable_3")


def state(seed: int) -> dict[str, torch.Tensor]:
    """Return a state dictionary as the authors' network has it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        own = ZooCNN(ZooCNNConfig()).build(1, 28, 10).state_dict()
    return {theirs: own[ours].contiguous() for theirs, ours in NAMES.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive of three networks with epochs 0 to 2, as Ray Tune leaves it."""
    root = tmp_path / "tune_zoo_mnist_uniform"
    for number, name in enumerate(NETWORKS):
        for epoch in range(3):
            # Both ways to write the epoch occur.
            place = root / name / (f"checkpoint_{epoch:06}" if number else f"checkpoint_{epoch}")
            place.mkdir(parents=True)
            torch.save(state(10 * number + epoch), place / "checkpoints")
            torch.save({"state": {}}, place / "optimizer")
        results = [
            {"training_iteration": epoch, "test_acc": 0.1 + epoch / 10 + number / 100}
            for epoch in range(1, 3)
        ]
        text = "".join(f"{json.dumps(result)}\n" for result in results)
        (root / name / "result.json").write_text(text)
    (root / "dataset.pt").write_bytes(b"not looked at")
    return root


def taken(folder: Path, results: Path, epochs: list[int] | None = None) -> StoredArtifact:
    with Store(results).lock("a test") as writer:
        return take_in_public(folder, epochs, writer, Registry.installed())


def test_a_public_zoo_is_read_under_our_names(folder: Path, tmp_path: Path) -> None:
    found = taken(folder, tmp_path / "results")
    store = Store(tmp_path / "results")
    kept = store.tensors(found)
    assert kept["kept.conv1.weight"].shape == (3, 3, 8, 1, 5, 5)
    for number in range(3):
        for epoch in range(3):
            expected = state(10 * number + epoch)
            for theirs, ours in NAMES.items():
                assert torch.equal(kept[f"kept.{ours}"][number, epoch], expected[theirs])
    assert [n["name"] for n in found.description["networks"]] == list(NETWORKS)
    assert found.description["networks"][1]["test_accuracy"] == pytest.approx([None, 0.21, 0.31])


def test_it_is_no_zoo_of_ours(folder: Path, tmp_path: Path) -> None:
    key = taken(folder, tmp_path / "results", [2]).key
    store = Store(tmp_path / "results")
    assert stored_zoos(store) == []
    assert store.keys() == []
    (found,) = foreign_zoos(store)
    assert stored_zoo(store, key[:12]) == found
    assert foreign_line(found)["networks"] == {"foreign": 3}
    shown = foreign_description(found)
    assert shown["accuracies"][0]["accuracy"][3] == pytest.approx(0.31)
    assert shown["kept_epochs"] == [2]
    with pytest.raises(UserError, match="trained by others"):
        export(found, store, tmp_path / "export")


def test_taken_in_twice_it_is_there_once(folder: Path, tmp_path: Path) -> None:
    first = taken(folder, tmp_path / "results")
    assert taken(folder, tmp_path / "results").key == first.key
    assert len(foreign_zoos(Store(tmp_path / "results"))) == 1


def test_only_epochs_that_all_networks_have_are_taken(folder: Path, tmp_path: Path) -> None:
    (folder / NETWORKS[0] / "checkpoint_1" / "checkpoints").unlink()
    assert taken(folder, tmp_path / "results").identity["kept_epochs"] == [0, 2]
    with pytest.raises(UserError, match="has no checkpoint after epoch 1"):
        taken(folder, tmp_path / "results", [1])


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def _with(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        tensors: dict[str, Any] = dict(state(1))
        change(tensors)
        torch.save(tensors, path)

    return rewrite


LAST = "module_list.11.bias"
HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "code": (
        lambda path: torch.save(Evil(path.parents[3] / "harm"), path),
        "no checkpoint that holds tensors alone",
    ),
    "a plain pickle": (
        lambda path: path.write_bytes(pickle.dumps(Evil(path.parents[3] / "harm"), protocol=2)),
        "no checkpoint that holds tensors alone",
    ),
    "noise": (lambda path: path.write_bytes(b"\x00" * 99), "no checkpoint that holds tensors"),
    "nothing": (lambda path: path.write_bytes(b""), "no checkpoint that holds tensors alone"),
    "a list": (lambda path: torch.save([1, 2], path), "expected the ten tensors"),
    "another network": (_with(lambda s: s.pop(LAST)), "expected the ten tensors"),
    "a number": (_with(lambda s: s.update({LAST: 3})), "expected tensors of type float32"),
    "another type": (_with(lambda s: s.update({LAST: s[LAST].double()})), "of type float32"),
    "another shape": (
        _with(lambda s: s.update({LAST: torch.zeros(11)})),
        r"expected `linear2.bias` to be \(10,\), found \(11,\)",
    ),
    "NaN": (_with(lambda s: s[LAST].fill_(torch.nan)), "is not finite; take the network's folder"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(
    case: str, folder: Path, tmp_path: Path
) -> None:
    write, reason = HOSTILE[case]
    write(folder / NETWORKS[1] / "checkpoint_000001" / "checkpoints")
    with pytest.raises(UserError, match=reason):
        taken(folder, tmp_path / "results")
    assert not (tmp_path / "harm").exists()
    assert foreign_zoos(Store(tmp_path / "results")) == []


def test_a_first_layer_of_another_form_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in NETWORKS:
        for place in (folder / name).glob("checkpoint_*/checkpoints"):
            _with(lambda s: s.update({"module_list.0.weight": torch.zeros(())}))(place)
    with pytest.raises(UserError, match="first or last layer is not that of the small CNN"):
        taken(folder, tmp_path / "results")


def test_folders_that_are_no_zoo_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no network"):
        taken(tmp_path / "empty", tmp_path / "results")
    with pytest.raises(UserError, match=r"`\.pt` files are pickled objects"):
        taken(folder / "dataset.pt", tmp_path / "results")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "network").symlink_to(folder / NETWORKS[0])
    with pytest.raises(UserError, match="holds no network"):
        taken(tmp_path / "linked", tmp_path / "results")


def test_results_that_say_nothing_sound_are_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / NETWORKS[0] / "result.json").unlink()
    lines = ['{"training_iteration": 1, "test_acc": 7}', "[]", "{", '{"test_acc": "x"}']
    (folder / NETWORKS[1] / "result.json").write_text("\n".join(lines))
    networks = taken(folder, tmp_path / "results").description["networks"]
    assert [n["test_accuracy"] for n in networks[:2]] == [[None] * 3] * 2
