"""USPS is read from the LIBSVM files as torchvision reads them, and from nothing else."""

from __future__ import annotations

import bz2
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from initbench.data.dataset import ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load
from initbench.data.sets.usps import USPS
from initbench.data.sets.zoo_images import ZooImagesConfig
from initbench.errors import UserError
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_zoo import check_split, digits, usps_line, write_usps

REAL = Path(os.environ.get("INITBENCH_DATA", "nowhere"))
real_data = pytest.mark.skipif(
    not (REAL / "usps").is_dir(), reason="INITBENCH_DATA holds no folder `usps`"
)

RNG = np.random.default_rng(0)
VALUES = RNG.uniform(-1, 1, (8, 256)).round(6)
VALUES[0, :3] = (-1, 0, 1)
TEST_VALUES = RNG.uniform(-1, 1, (4, 256)).round(3)


class SmallUSPS(USPS):
    sizes = (5, 3, 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_usps(tmp_path / "usps" / "usps.bz2", VALUES, digits(8))
    write_usps(tmp_path / "usps" / "usps.t.bz2", TEST_VALUES, digits(4))
    return tmp_path


def read(root: Path) -> ImageSplits:
    return load(SmallUSPS(ZooImagesConfig()), root)


def of_torchvision(folder: Path, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
    theirs = torchvision.datasets.USPS(str(folder), train=train)
    return theirs.data[:, None], np.array(theirs.targets)


def test_the_files_give_the_published_splits_and_torchvisions_levels(root: Path) -> None:
    train, test = (of_torchvision(root / "usps", train=train) for train in (True, False))
    assert train[0][0, 0, 0, :3].tolist() == [0, 127, 255]
    check_split(read(root), train, test, SmallUSPS.sizes)


def test_the_files_may_lie_beside_the_folder(root: Path) -> None:
    expected = fingerprint(read(root))
    for path in list((root / "usps").iterdir()):
        path.rename(root / path.name)
    assert fingerprint(read(root)) == expected


def test_normalisation_is_that_of_the_zoos(root: Path) -> None:
    splits = read(root)
    assert (splits.mean, splits.std) == ((0.1307,), (0.3081,))


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "usps", USPS)) == []
    assert USPS(ZooImagesConfig()).split_sizes() == {
        "train": 6_000,
        "validation": 1_291,
        "test": 2_007,
    }


def test_digests_and_addresses_are_those_of_torchvision() -> None:
    theirs = {(url, f"md5:{md5}") for url, _, md5 in torchvision.datasets.USPS.split_list.values()}
    dataset = USPS(ZooImagesConfig())
    assert {(d.urls[0], d.digest) for d in dataset.downloads()} == theirs
    assert {digest for f in dataset.files() for form in f.forms() for digest in form.digests} == {
        digest for _, digest in theirs
    }


LINES = [usps_line(*line).encode() for line in zip(VALUES, digits(8).tolist(), strict=True)]


def with_line(line: bytes) -> bytes:
    """The training file with another third line."""
    return b"".join([*LINES[:2], line, *LINES[3:]])


def with_third(value: bytes) -> bytes:
    """The training file with another third pair in its third line."""
    words = LINES[2].split()
    return with_line(b" ".join([*words[:3], value, *words[4:]]) + b"\n")


LINE_3 = "expected a label and 256 pairs `index:value`, indices rising from 1, in line 3, got `"
DAMAGE = {
    "empty": (b"", "expected 8 lines, got 0"),
    "a line missing": (b"".join(LINES[:7]), "expected 8 lines, got 7"),
    "a line too many": (b"".join([*LINES, LINES[0]]), "expected 8 lines, got 9"),
    "an empty line": (with_line(b"\n"), LINE_3),
    "a word": (with_third(b"3:black"), LINE_3),
    "no colon": (with_third(b"3 0.5"), LINE_3),
    "two colons": (with_third(b"3:0.5:0.5"), LINE_3),
    "an index missing": (with_third(b"4:0.5"), LINE_3),
    "an index twice": (with_third(b"2:0.5"), LINE_3),
    "a pair missing": (with_third(b""), LINE_3),
    "a cut line": (with_line(LINES[2][:500] + b"\n"), LINE_3),
    "no number": (with_third(b"3:nan"), LINE_3),
    "infinity": (with_third(b"3:inf"), LINE_3),
    "no text": (with_third(b"3:\xff\0"), LINE_3),
    "a value too large": (with_third(b"3:1.5"), r"expected values in -1..1, got 1.5 in line 3"),
    "a label too large": (with_line(b"11" + LINES[2][1:]), r"labels 1..10, got 11.0 for image 3"),
    "the label 0": (with_line(b"0" + LINES[2][1:]), r"labels 1..10, got 0.0 for image 3"),
    "half a label": (with_line(b"1.5" + LINES[2][1:]), r"labels 1..10, got 1.5 for image 3"),
    "a bomb": (b" " * 70_000, "expected 65,792 characters at most when unpacked, got more"),
}


@pytest.mark.parametrize(("content", "complaint"), DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    root: Path, content: bytes, complaint: str
) -> None:
    path = root / "usps" / "usps.bz2"
    path.write_bytes(bz2.compress(content))
    with pytest.raises(UserError) as caught:
        read(root)
    assert f"{path}: " in str(caught.value)
    assert complaint in str(caught.value)
    assert "official file" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 100, -4])
def test_a_truncated_archive_is_refused(root: Path, keep: int) -> None:
    path = root / "usps" / "usps.t.bz2"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"usps\.t\.bz2: expected"):
        read(root)


def test_a_web_page_is_refused(root: Path) -> None:
    (root / "usps" / "usps.bz2").write_bytes(b"<!DOCTYPE html><html>")
    with pytest.raises(UserError, match=r"usps\.bz2: expected a whole bzip2 file, got the error"):
        read(root)


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "usps" / "usps.t.bz2").unlink()
    with pytest.raises(UserError, match=r"usps\.t\.bz2"):
        read(root)


@real_data
def test_the_real_files_give_the_published_splits_and_torchvisions_levels() -> None:
    splits = load(USPS(ZooImagesConfig()), REAL)
    train, test = (of_torchvision(REAL / "usps", train=train) for train in (True, False))
    check_split(splits, train, test, USPS.sizes)
    labels = torch.cat([splits.train.labels, splits.validation.labels])
    # As counted in the official distribution.
    assert labels.bincount().tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert splits.test.labels.bincount().tolist() == [
        359, 264, 198, 166, 200, 160, 170, 147, 166, 177
    ]  # fmt: skip
