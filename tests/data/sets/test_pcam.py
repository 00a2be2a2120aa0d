"""PCam is split as published: Kaggle's patches by code or by paper, the official files as is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load
from initbench.data.sets.pcam import PCam
from initbench.data.splits import random_split
from initbench.errors import UserError
from initbench.plugin.configuration import configured
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_pcam import (
    H5_SIZES,
    LABELS,
    NAMES,
    NEGATIVE,
    POSITIVE,
    table,
    write_kaggle,
    write_official,
)


class SmallPCam(PCam):
    kaggle_counts = (NEGATIVE, POSITIVE)
    kaggle_splits = {"code": (24, 6, 10), "paper": (20, 8, 12)}


def small(**config: Any) -> SmallPCam:
    return SmallPCam(configured("pcam", PCam.Config, config))


def official(**config: Any) -> PCam:
    return PCam(configured("pcam", PCam.Config, config))


def digest(ids: torch.Tensor) -> str:
    return hashlib.sha256(ids.numpy().astype("<i8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("fidelity", ["code", "paper"])
@pytest.mark.parametrize("crop", [32, 96])
def test_kaggles_patches_are_split_as_by_torch(tmp_path: Path, fidelity: Any, crop: int) -> None:
    written = write_kaggle(tmp_path)
    dataset = small(fidelity=fidelity, crop=crop)
    splits = load(dataset, tmp_path)
    theirs: list[Any] = torch.utils.data.random_split(
        range(len(NAMES)),  # type: ignore[arg-type]
        SmallPCam.kaggle_splits[fidelity],
        generator=torch.Generator().manual_seed(42),
    )
    edge = (96 - crop) // 2
    inner = slice(edge, edge + crop)
    for (_, split), their in zip(splits.items(), theirs, strict=True):
        assert split.ids.tolist() == their.indices
        for image, label, i in zip(split.images[:], split.labels, their.indices, strict=True):
            name = sorted(NAMES)[i]
            assert np.array_equal(image.permute(1, 2, 0).numpy(), written[name][inner, inner])
            assert label == LABELS[NAMES.index(name)]
    assert {name: len(split) for name, split in splits.items()} == dataset.split_sizes()
    assert (splits.mean, splits.std) == ((0.0,) * 3, (1.0,) * 3)


def test_the_official_files_are_used_as_they_are(tmp_path: Path) -> None:
    written, labels = write_official(tmp_path)
    splits = load(official(source="h5", crop=96), tmp_path)
    assert [len(split) for _, split in splits.items()] == list(H5_SIZES.values())
    ids = torch.cat([split.ids for _, split in splits.items()])
    assert ids.tolist() == list(range(30))
    images = torch.cat([split.images[:] for _, split in splits.items()])
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), written)
    assert torch.cat([split.labels for _, split in splits.items()]).tolist() == labels.tolist()


def test_the_fixture_is_what_torchvision_reads(tmp_path: Path) -> None:
    write_official(tmp_path)
    splits = load(official(source="h5", crop=96), tmp_path)
    for name, split in (("train", splits.train), ("val", splits.validation), ("test", splits.test)):
        theirs = torchvision.datasets.PCAM(str(tmp_path), split=name)
        assert len(theirs) == len(split)
        for i, (image, label) in enumerate(theirs[i] for i in range(len(split))):
            assert np.array_equal(np.asarray(image), split.images[:][i].permute(1, 2, 0).numpy())
            assert label == split.labels[i]


def test_the_published_sizes() -> None:
    sizes = {"train": 153_600, "validation": 25_000, "test": 41_425}
    assert official().split_sizes() == sizes
    paper = {"train": 154_017, "validation": 22_002, "test": 44_006}
    assert official(fidelity="paper").split_sizes() == paper
    assert sum(PCam.kaggle_counts) == sum(sizes.values()) == sum(paper.values()) == 220_025


@pytest.mark.parametrize(
    ("fidelity", "pinned"),
    [
        ("code", ("1a447f4d1300c163", "ba3b07294ee331e3", "8c637ac4b6eeebe8")),
        ("paper", ("8f6d2c2a523a6985", "4605fa5075f29913", "bb95058238f9155d")),
    ],
)
def test_the_ids_are_pinned(fidelity: Any, pinned: tuple[str, ...]) -> None:
    ids = random_split(220_025, PCam.kaggle_splits[fidelity])
    assert tuple(map(digest, ids)) == pinned
    assert len(torch.cat(ids).unique()) == 220_025


def test_patches_that_will_not_decode_stop_or_are_left_out(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    whole = load(small(), tmp_path)
    damaged = [*whole.train.ids.tolist()[:6], int(whole.test.ids[3])]
    folder = tmp_path / "histopathologic-cancer-detection" / "train"
    for i in damaged:
        (folder / f"{sorted(NAMES)[i]}.tif").write_bytes(b"damaged")
    with pytest.raises(UserError) as caught:
        load(small(), tmp_path)
    assert "got 7 of them: " in str(caught.value)
    assert f"`{sorted(NAMES)[damaged[0]]}.tif` (" in str(caught.value)
    assert "`undecodable: skip`" in str(caught.value)

    dataset = small(undecodable="skip")
    left = load(dataset, tmp_path)
    assert dataset.split_sizes() is None
    for (_, before), (_, after) in zip(whole.items(), left.items(), strict=True):
        kept = [row for row, i in enumerate(before.ids.tolist()) if i not in damaged]
        assert torch.equal(after.ids, before.ids[kept])
        assert torch.equal(after.labels, before.labels[kept])
        assert torch.equal(after.images[:], before.images[torch.tensor(kept)])
    (remark,) = left.remarks
    assert remark.mark == "incomplete data"
    assert "7 of them: " in remark.reason


def test_skipping_changes_nothing_where_all_decode(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    splits = load(small(undecodable="skip"), tmp_path)
    assert splits.remarks == ()
    assert fingerprint(splits) == fingerprint(load(small(), tmp_path))


def test_too_little_memory_is_an_error_before_pixels_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_official(tmp_path)
    monkeypatch.setattr("initbench.data.sets.pcam.available_bytes", lambda device: 100_000)
    with pytest.raises(UserError, match="data set `pcam` needs"):
        load(official(source="h5"), tmp_path)


def test_missing_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(official(), tmp_path)
    assert str(tmp_path / "histopathologic-cancer-detection" / "train") in str(caught.value)
    assert "https://www.kaggle.com/c/histopathologic-cancer-detection" in str(caught.value)
    with pytest.raises(UserError) as caught:
        load(official(source="h5"), tmp_path)
    assert "camelyonpatch_level_2_split_valid_y.h5" in str(caught.value)
    assert "initbench data fetch" in str(caught.value)


def test_another_number_of_kaggles_patches_is_refused(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    with pytest.raises(UserError, match=r"expected 220,025 patches .* got 40 patches"):
        load(official(), tmp_path)
    path = tmp_path / "histopathologic-cancer-detection" / "train_labels.csv"
    path.write_text(table(NAMES, [1 - label for label in LABELS]))
    with pytest.raises(UserError, match=r"expected 40 patches \(24 with label 0"):
        load(small(), tmp_path)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"source": "h5", "fidelity": "paper"}, "`fidelity` is for `source: kaggle` only"),
        ({"source": "h5", "undecodable": "skip"}, "`undecodable` is for `source: kaggle` only"),
        ({"crop": 33}, "`crop`"),
        ({"crop": 98}, "`crop`"),
        ({"crop": 0}, "`crop`"),
        ({"source": "zip"}, "`source`"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(
    config: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError) as caught:
        official(**config)
    assert complaint in str(caught.value)


def test_digests_are_those_that_torchvision_has_for_the_gzip_files() -> None:
    theirs = {
        f"pcam/{name}.gz": f"md5:{md5}"
        for files in torchvision.datasets.PCAM._FILES.values()
        for name, _, md5 in files.values()
    }
    downloads = official(source="h5").downloads()
    assert {download.path: download.digest for download in downloads} == theirs
    unpacked = {download.path.removesuffix(".gz") for download in downloads}
    assert unpacked == {file.path for file in official(source="h5").files()}
    assert official().downloads() == ()


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "pcam", PCam)) == []
    assert official(crop=96).native_size == 96
    assert official().native_size == 32


def real(folder: str) -> Path:
    root = Path(os.environ.get("INITBENCH_DATA", "no INITBENCH_DATA"))
    if not (root / folder / "pcam").is_dir():
        pytest.skip(f"INITBENCH_DATA has no folder `{folder}/pcam`")
    return root


def test_real_patches_of_pcam_are_read() -> None:
    """The shared folder has 25 of them."""
    root = real(".")
    splits = load(official(source="h5"), root)
    assert [len(split) for _, split in splits.items()] == [12, 6, 7]
    labels = torch.cat([split.labels for _, split in splits.items()])
    assert labels.bincount().tolist() == [13, 12]
    theirs = torchvision.datasets.PCAM(str(root), split="val")
    for i, (image, label) in enumerate(theirs[i] for i in range(6)):
        centre = np.asarray(image.crop((32, 32, 64, 64)))
        assert np.array_equal(splits.validation.images[:][i].permute(1, 2, 0).numpy(), centre)
        assert label == splits.validation.labels[i]


def test_the_stand_in_is_read_from_its_folder() -> None:
    splits = load(official(source="h5", folder="pcam-standin"), real("pcam-standin"))
    assert [len(split) for _, split in splits.items()] == [3_426, 1_499, 2_635]
    positive = [int(split.labels.sum()) for _, split in splits.items()]
    assert positive == [1_538, 702, 1_222]
