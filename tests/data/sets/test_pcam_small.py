"""PCam Small is balanced, disjoint, drawn part by part from PCam, and the same for everybody."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from initbench.data.dataset import ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.formats.pcam_files import Patches
from initbench.data.prepared import load
from initbench.data.sets.pcam import PCam
from initbench.data.sets.pcam_small import PCamSmall
from initbench.data.splits import random_split
from initbench.errors import UserError
from initbench.plugin.configuration import configured
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_pcam import NAMES, NEGATIVE, POSITIVE, write_kaggle, write_official

FEW = {"train": 8, "validation": 2, "test": 4}


def of(kind: type[PCamSmall], **config: Any) -> PCamSmall:
    return kind(configured("pcam_small", PCamSmall.Config, config))


class SmallSource(PCamSmall):
    """Draws from 40 patches."""

    kaggle_counts = (NEGATIVE, POSITIVE)
    kaggle_splits = {"code": (24, 6, 10), "paper": (20, 8, 12)}


class Blank(Patches):
    """As many patches as Kaggle has, of which only the labels matter here."""

    labels = (torch.arange(220_025) * 7_919 % 220_025 < 89_117).long()

    def read(self, ids: torch.Tensor, crop: int) -> tuple[torch.Tensor, Mapping[int, str]]:
        return torch.zeros((len(ids), 3, crop, crop), dtype=torch.uint8), {}


class Unread(PCamSmall):
    """Draws from Kaggle's full number of patches without any file."""

    def patches(self, root: Path | None) -> tuple[Patches, tuple[torch.Tensor, ...]]:
        sizes = PCam.kaggle_splits[self.config.fidelity]
        return Blank(), random_split(len(Blank.labels), sizes)


def check(splits: ImageSplits, sizes: Mapping[str, int]) -> None:
    for name, split in splits.items():
        assert split.labels.bincount().tolist() == [sizes[name] // 2] * 2
    ids = torch.cat([split.ids for _, split in splits.items()])
    assert len(ids.unique()) == len(ids) == sum(sizes.values())


def digest(ids: torch.Tensor) -> str:
    return hashlib.sha256(ids.numpy().astype("<i8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("fidelity", "pinned"),
    [
        ("code", ("8dd274e45ff3722a", "2c8329206235b93a", "7bd80c6434ab357b")),
        ("paper", ("b4b1d6ccd690b256", "133a35e749110c70", "a9595c21862f45cd")),
    ],
)
def test_the_published_sizes_are_drawn_from_the_parts_of_pcam(
    fidelity: Any, pinned: tuple[str, ...]
) -> None:
    dataset = of(Unread, fidelity=fidelity)
    splits = load(dataset, None)
    sizes = {"train": 1_000, "validation": 400, "test": 10_000}
    assert dataset.split_sizes() == sizes
    check(splits, sizes)
    parts = random_split(220_025, PCam.kaggle_splits[fidelity])
    for (_, split), part in zip(splits.items(), parts, strict=True):
        assert set(split.ids.tolist()) <= set(part.tolist())
        assert torch.equal(split.labels, Blank.labels[split.ids])
    assert tuple(digest(split.ids) for _, split in splits.items()) == pinned


def test_another_seed_draws_others() -> None:
    one, other = (load(of(Unread, crop=2, seed=seed), None) for seed in (42, 43))
    for (_, first), (_, second) in zip(one.items(), other.items(), strict=True):
        shared = set(first.ids.tolist()) & set(second.ids.tolist())
        assert len(shared) < len(first) / 2
    check(other, {"train": 1_000, "validation": 400, "test": 10_000})
    again = load(of(Unread, crop=2, seed=42), None)
    assert fingerprint(again) == fingerprint(one)


def test_patches_of_kaggle_come_with_their_labels(tmp_path: Path) -> None:
    written = write_kaggle(tmp_path)
    splits = load(of(SmallSource, **FEW), tmp_path)
    check(splits, FEW)
    for _, split in splits.items():
        for image, i in zip(split.images[:], split.ids.tolist(), strict=True):
            patch = written[sorted(NAMES)[i]]
            assert np.array_equal(image.permute(1, 2, 0).numpy(), patch[32:64, 32:64])


def test_only_the_patches_drawn_are_decoded(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    before = load(of(SmallSource, **FEW), tmp_path)
    drawn = torch.cat([split.ids for _, split in before.items()]).tolist()
    folder = tmp_path / "histopathologic-cancer-detection" / "train"
    for i, name in enumerate(sorted(NAMES)):
        if i not in drawn:
            (folder / f"{name}.tif").write_bytes(b"damaged")
    assert fingerprint(load(of(SmallSource, **FEW), tmp_path)) == fingerprint(before)
    name = sorted(NAMES)[drawn[0]]
    (folder / f"{name}.tif").write_bytes(b"damaged")
    with pytest.raises(UserError, match=f"got 1 of them: `{name}.tif` .*; restore these files"):
        load(of(SmallSource, **FEW), tmp_path)


def test_patches_of_the_official_files_come_from_the_same_split(tmp_path: Path) -> None:
    written, labels = write_official(tmp_path)
    splits = load(of(PCamSmall, source="h5", crop=96, **FEW), tmp_path)
    check(splits, FEW)
    for (_, split), part in zip(
        splits.items(), (range(12), range(12, 20), range(20, 30)), strict=True
    ):
        assert all(i in part for i in split.ids.tolist())
        assert np.array_equal(split.images[:].permute(0, 2, 3, 1).numpy(), written[split.ids])
        assert split.labels.tolist() == labels[split.ids].tolist()


def test_more_than_there_are_is_refused_with_the_most(tmp_path: Path) -> None:
    write_official(tmp_path)
    with pytest.raises(UserError, match=r"expected `validation` to be 8 at most, .*got 10"):
        load(of(PCamSmall, source="h5", **{**FEW, "validation": 10}), tmp_path)
    whole = {"train": 12, "validation": 8, "test": 10}
    check(load(of(PCamSmall, source="h5", **whole), tmp_path), whole)


@pytest.mark.parametrize(
    "config",
    [
        {"train": 3},
        {"validation": 0},
        {"test": -2},
        {"seed": -1},
        {"seed": 2**63},
        {"undecodable": "skip"},
        {"source": "h5", "fidelity": "paper"},
    ],
)
def test_configurations_that_mean_nothing_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        of(PCamSmall, **config)


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "pcam_small", PCamSmall)) == []


def test_the_stand_in_takes_the_place_of_pcam() -> None:
    root = Path(os.environ.get("INITBENCH_DATA", "no INITBENCH_DATA"))
    if not (root / "pcam-standin" / "pcam").is_dir():
        pytest.skip("INITBENCH_DATA has no folder `pcam-standin/pcam`")
    splits = load(of(PCamSmall, source="h5", folder="pcam-standin", test=2_000), root)
    check(splits, {"train": 1_000, "validation": 400, "test": 2_000})
    assert fingerprint(splits) == "8ab1c0f76add0448660c44485ebf98def6dbba7cf477a137d643de085300bb62"
    everything = load(
        PCam(configured("pcam", PCam.Config, {"source": "h5", "folder": "pcam-standin"})), root
    )
    for (_, few), (_, all_) in zip(splits.items(), everything.items(), strict=True):
        rows = few.ids - all_.ids[0]
        assert torch.equal(few.images[:], all_.images[rows])
        assert torch.equal(few.labels, all_.labels[rows])
