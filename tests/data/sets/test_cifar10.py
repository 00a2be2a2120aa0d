"""CIFAR-10 comes from the official batches in the splits of the papers, and from nothing else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from initbench.data.dataset import ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load
from initbench.data.sets.cifar10 import CIFAR10, CLASSES, MEANS_AND_DEVIATIONS, read_cifar10
from initbench.errors import UserError
from initbench.plugin.configuration import configured
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_cifar10 import NAMES, write_cifar10

SPLITS = ("harder2023", "schuerholt2022", "knyazev2022")


class SmallCIFAR10(CIFAR10):
    images_per_file = 20
    held_out = {"harder2023": 10, "schuerholt2022": 16, "knyazev2022": 20}
    labels_per_class = 4


def small(**config: Any) -> SmallCIFAR10:
    return SmallCIFAR10(configured("cifar10", CIFAR10.Config, config))


def official(**config: Any) -> CIFAR10:
    return CIFAR10(configured("cifar10", CIFAR10.Config, config))


def digest(ids: torch.Tensor) -> str:
    return hashlib.sha256(ids.numpy().astype("<i8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("split", SPLITS)
def test_every_image_comes_with_its_label_and_id(tmp_path: Path, split: str) -> None:
    images, labels = write_cifar10(tmp_path, 20)
    dataset = small(split=split)
    splits = load(dataset, tmp_path)
    for _, part in splits.items():
        assert np.array_equal(part.images[:].numpy(), images[part.ids.numpy()])
        assert np.array_equal(part.labels.numpy(), labels[part.ids.numpy()])
    assert {name: len(part) for name, part in splits.items()} == dataset.split_sizes()
    assert splits.test.ids.tolist() == list(range(100, 120))


@pytest.mark.parametrize(
    ("split", "train", "validation"),
    [
        ("harder2023", 90, 10),
        ("schuerholt2022", 84, 16),
    ],
)
def test_random_splits_are_those_of_torch(
    tmp_path: Path, split: str, train: int, validation: int
) -> None:
    write_cifar10(tmp_path, 20)
    splits = load(small(split=split), tmp_path)
    theirs: list[Any] = torch.utils.data.random_split(
        range(100),  # type: ignore[arg-type]
        [train, validation],
        generator=torch.Generator().manual_seed(42),
    )
    assert splits.train.ids.tolist() == theirs[0].indices
    assert splits.validation.ids.tolist() == theirs[1].indices


def test_knyazev_takes_the_first_of_each_class_before_the_last_that_validate(
    tmp_path: Path,
) -> None:
    _, labels = write_cifar10(tmp_path, 20)
    splits = load(small(split="knyazev2022"), tmp_path)
    assert splits.validation.ids.tolist() == list(range(80, 100))
    expected = []
    for i in range(80):
        if labels[:i].tolist().count(labels[i]) < 4:
            expected.append(i)
    assert splits.train.ids.tolist() == expected
    assert splits.train.labels.bincount().tolist() == [4] * 10


def test_the_published_sizes() -> None:
    sizes = [tuple((official(split=split).split_sizes() or {}).values()) for split in SPLITS]
    assert sizes == [(45_000, 5_000, 10_000), (42_000, 8_000, 10_000), (1_000, 5_000, 10_000)]


@pytest.mark.parametrize(
    ("split", "pinned"),
    [
        ("harder2023", ("0d487a059d661a53", "444accb2e7d8003f")),
        ("schuerholt2022", ("8dfa2b3cb5101d8d", "81c79020197fd05b")),
        ("knyazev2022", ("702746827e553786", "97a3243e2baaa11b")),
    ],
)
def test_the_ids_are_pinned(split: str, pinned: tuple[str, str]) -> None:
    """`knyazev2022` depends on the labels; here they repeat 0..9."""
    ids = official(split=split).split_ids(torch.arange(50_000) % 10)
    assert tuple(map(digest, ids)) == pinned
    assert len(torch.cat(ids).unique()) == sum(map(len, ids))


def test_pixels_are_normalised_as_published_unless_asked_otherwise() -> None:
    published = [official(split=split).normalisation() for split in SPLITS]
    assert published == [MEANS_AND_DEVIATIONS[name] for name in ("none", "half", "channel")]
    for name, numbers in MEANS_AND_DEVIATIONS.items():
        assert official(normalisation=name).normalisation() == numbers


def test_the_fixture_is_what_torchvision_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path, 20)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_load_meta", lambda self: None)
    files = {file.path: tmp_path / file.path for file in official().files()}
    images, labels, test_images, test_labels = read_cifar10(files, 20)
    for train, ours in ((True, (images, labels)), (False, (test_images, test_labels))):
        theirs = torchvision.datasets.CIFAR10(str(tmp_path), train=train)
        assert np.array_equal(ours[0].permute(0, 2, 3, 1).numpy(), theirs.data)
        assert ours[1].tolist() == theirs.targets


def test_digests_and_addresses_are_those_of_torchvision() -> None:
    theirs = torchvision.datasets.CIFAR10
    lists = [*theirs.train_list, *theirs.test_list]
    assert {file.path: file.digests for file in official().files()} == {
        f"{theirs.base_folder}/{name}": (f"md5:{md5}",) for name, md5 in lists
    }
    (download,) = official().downloads()
    assert download.urls == (theirs.url,)
    assert download.path == theirs.filename
    assert download.digest == f"md5:{theirs.tgz_md5}"


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "cifar10", CIFAR10)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_or_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    write_cifar10(tmp_path, 20)
    path = tmp_path / "cifar-10-batches-py" / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"{name}: expected a pickled batch"):
        load(small(), tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=name):
        load(small(), tmp_path)


def test_the_files_are_looked_for_in_the_folder_of_the_configuration(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "copies" / "one", 20)
    write_cifar10(tmp_path / "two", 20)
    one = load(small(folder="copies/one"), tmp_path)
    assert fingerprint(one) == fingerprint(load(small(), tmp_path / "two"))


@pytest.fixture(scope="module")
def data() -> Path:
    root = Path(os.environ.get("INITBENCH_DATA", "no INITBENCH_DATA"))
    if not (root / "cifar-10-batches-py").is_dir():
        pytest.skip("INITBENCH_DATA has no folder `cifar-10-batches-py`")
    return root


@pytest.fixture(scope="module")
def real(data: Path) -> ImageSplits:
    return load(official(), data)


def test_the_real_files_are_read_in_the_official_order(real: ImageSplits) -> None:
    labels = torch.empty(60_000, dtype=torch.int64)
    for _, split in real.items():
        labels[split.ids] = split.labels
    assert labels[:50_000].bincount().tolist() == [5_000] * CLASSES
    assert real.test.labels.bincount().tolist() == [1_000] * CLASSES
    assert labels[:8].tolist() == [6, 9, 9, 4, 1, 1, 2, 7]
    assert labels[50_000:50_008].tolist() == [3, 8, 8, 0, 6, 6, 1, 6]
    assert digest(labels) == "5083e6dd0895f949"
    train, validation = official(split="knyazev2022").split_ids(labels[:50_000])
    assert (digest(train), digest(validation)) == ("437d9b88f218e5fd", "97a3243e2baaa11b")


def test_the_real_pixels_have_the_known_mean(real: ImageSplits) -> None:
    mean = real.train.images[:].numpy().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.001)


def test_a_part_of_cifar10_is_refused(data: Path) -> None:
    if not (data / "cifar10-exact").is_dir():
        pytest.skip("INITBENCH_DATA has no folder `cifar10-exact`")
    with pytest.raises(UserError, match=r"shape \(10000, 3072\), got one of shape \(800, 3072\)"):
        load(official(folder="cifar10-exact"), data)
