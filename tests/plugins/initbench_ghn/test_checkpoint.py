from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.checkpoint import architecture_of, load, restored, stated
from initbench_ghn.network import GHN

from initbench.api import UserError
from tests.plugins.initbench_ghn.support import golden_file


def content() -> dict[str, Any]:
    return torch.load(golden_file("tiny_ghn2.pt"), weights_only=True)  # type: ignore[no-any-return]


def saved(tmp_path: Path, tree: Any) -> Path:
    path = tmp_path / "changed.pt"
    torch.save(tree, path)
    return path


class Code:
    """What unpickling would run."""

    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Code, "ran", True)


def test_a_file_that_holds_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    for name, write in (("new.pt", torch.save), ("old.pt", _old)):
        write({"state_dict": {}, "config": Code()}, tmp_path / name)
        with pytest.raises(UserError, match="never loaded because they could run code"):
            load(tmp_path / name)
    assert not Code.ran


def _old(tree: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(tree))


@pytest.mark.parametrize("kept", [0, 10, 1000, 60_000, 123_000])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "short.pt"
    path.write_bytes(golden_file("tiny_ghn2.pt").read_bytes()[:kept])
    with pytest.raises(UserError, match=r"`.*short.pt`: expected a PyTorch file"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hid", 10**9, "`hid` from 1 to 1024"),
        ("hid", 9, "multiple of 4"),
        ("hid", "8", "`hid` to be of type int"),
        ("hid", True, "`hid` to be of type int"),
        ("max_shape", (16, 16, 5), "four whole numbers"),
        ("max_shape", (16, 16, 5, 10**6), "four whole numbers"),
        ("max_shape", (16, 16, 5, 7), "square kernel"),
        ("hypernet", "transformer", "`gatedgnn`, `mlp`"),
        ("decoder", 3, "`decoder` to be of type str"),
        ("layers", 3, "unknown keys `layers`"),
        ("num_classes", 11, "expected shape"),
        ("ve", False, "`state_dict`|expected shape"),
    ],
)
def test_a_strange_configuration_is_refused(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    tree = content()
    tree["config"][key] = value
    with pytest.raises(UserError, match=message):
        load(saved(tmp_path, tree))


def test_strange_tensors_are_refused(tmp_path: Path) -> None:
    tree = content()
    name = "embed.weight"
    for changed, message in (
        (None, "lacks `embed.weight`"),
        (torch.zeros(3), r"expected shape \(15, 8\), got \(3,\)"),
        (torch.full((15, 8), float("nan")), "finite"),
        (torch.zeros(15, 8, dtype=torch.long), "finite floating-point"),
    ):
        state = {key: x for key, x in tree["state_dict"].items() if key != name}
        if changed is not None:
            state[name] = changed
        with pytest.raises(UserError, match=message):
            load(saved(tmp_path, {**tree, "state_dict": state}))
    state = {**tree["state_dict"], "extra": torch.zeros(1)}
    with pytest.raises(UserError, match="unknown tensors `extra`"):
        load(saved(tmp_path, {**tree, "state_dict": state}))
    for other in ([1, 2], {"config": {}}, {**tree, "state_dict": [1]}):
        with pytest.raises(UserError, match="expected"):
            load(saved(tmp_path, other))


def test_keys_that_training_leaves_behind_are_ignored(tmp_path: Path) -> None:
    tree = {**content(), "optimzer": {"state": {}}, "epoch": 3}
    assert load(saved(tmp_path, tree)).architecture.hid == 8


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(),
        Architecture(hid=8, max_shape=(16, 16, 5, 5), ve=False, layernorm=False),
        Architecture(hid=8, decoder_shape=(16, 16, 3, 3), noise=Noise(4, 0.5)),
        Architecture(hid=8, decoder_shape=(16, 16, 3, 3)),
    ],
)
def test_what_is_stated_restores_the_hypernetwork(architecture: Architecture) -> None:
    said = stated(architecture)
    read = architecture_of(said["config"], said.get("noise_decoder"))
    assert read == architecture
    ghn = GHN(architecture)
    again = restored(read, ghn.state_dict())
    assert all(torch.equal(x, again.state_dict()[name]) for name, x in ghn.state_dict().items())


def test_full_sizes_have_the_published_numbers_of_parameters() -> None:
    sizes = {
        1_620_764: Architecture(),
        2_319_720: Architecture(max_shape=(64, 64, 16, 16), num_classes=1000),
        1_620_668: Architecture(ve=False, layernorm=False, weight_norm=False),
        1_614_396: Architecture(hypernet="mlp"),
    }
    with torch.device("meta"):
        for expected, architecture in sizes.items():
            assert sum(p.numel() for p in GHN(architecture).parameters()) == expected
