"""MNIST is read from the official files in any of their forms, and from nothing else."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from initbench.data.dataset import ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.formats.idx import read_idx
from initbench.data.prepared import load
from initbench.data.sets.mnist import MNIST
from initbench.data.sets.zoo_images import ZooImagesConfig
from initbench.errors import UserError
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_zoo import check_split, digits, idx, pixels, write_mnist

REAL = Path(os.environ.get("INITBENCH_DATA", "nowhere"))
real_data = pytest.mark.skipif(
    not (REAL / "MNIST").is_dir(), reason="INITBENCH_DATA holds no folder `MNIST`"
)

FORMS = ("{}-{}.gz", "{}-{}", "{}.{}.gz", "{}.{}")
IMAGES = (pixels(8, 28, 28), digits(8))
TEST_IMAGES = (pixels(4, 28, 28, seed=1), digits(4))


class SmallMNIST(MNIST):
    sizes = (5, 3, 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mnist(tmp_path, "train", *IMAGES)
    write_mnist(tmp_path, "t10k", *TEST_IMAGES)
    return tmp_path


def read(root: Path, folder: str = ".") -> ImageSplits:
    return load(SmallMNIST(ZooImagesConfig(folder=folder)), root)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_official_files_gives_the_published_splits(
    tmp_path: Path, form: str
) -> None:
    write_mnist(tmp_path, "train", *IMAGES, form=form)
    write_mnist(tmp_path, "t10k", *TEST_IMAGES, form=form)
    train, test = ((images[:, None], labels) for images, labels in (IMAGES, TEST_IMAGES))
    check_split(read(tmp_path), train, test, SmallMNIST.sizes)


def test_normalisation_is_that_of_the_zoos(root: Path) -> None:
    splits = read(root)
    assert (splits.mean, splits.std) == ((0.1307,), (0.3081,))


def test_the_files_may_lie_in_a_folder_of_their_own(root: Path) -> None:
    expected = fingerprint(read(root))
    (root / "copy").mkdir()
    (root / "MNIST").rename(root / "copy" / "MNIST")
    assert fingerprint(read(root, "copy")) == expected


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "mnist", MNIST)) == []
    assert MNIST(ZooImagesConfig()).split_sizes() == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }


def test_only_the_default_is_pinned() -> None:
    assert MNIST(ZooImagesConfig()).pinned_fingerprint() is not None
    assert MNIST(ZooImagesConfig(folder="fashion")).pinned_fingerprint() is None


def test_digests_are_those_of_torchvision() -> None:
    theirs = dict(torchvision.datasets.MNIST.resources)
    files = MNIST(ZooImagesConfig()).files()
    assert {Path(file.path).name: file.digests[0] for file in files} == {
        name: f"md5:{md5}" for name, md5 in theirs.items()
    }
    for download in MNIST(ZooImagesConfig()).downloads():
        assert download.digest == f"md5:{theirs[Path(download.path).name]}"
        assert all(url.startswith("https://") for url in download.urls)


WHOLE = idx(IMAGES[0])
DAMAGE = {
    "empty": (b"", "expected an IDX file, got one that begins with b''"),
    "a web page": (
        b"<!DOCTYPE html><html>",
        "expected an IDX file, got one that begins with b'<!DO'",
    ),
    "other values": (
        b"\0\0\x0d\3" + WHOLE[4:],
        r"expected unsigned bytes \(type 0x08\), got type 0x0d",
    ),
    "labels": (idx(IMAGES[1].astype(np.uint8)), "expected 3 dimensions, got 1"),
    "a cut header": (WHOLE[:10], "expected a header of 16 bytes, got 10"),
    "too few images": (idx(IMAGES[0][:7]), "expected the shape 8 x 28 x 28, got 7 x 28 x 28"),
    "no images": (idx(IMAGES[0][:0]), "expected the shape 8 x 28 x 28, got 0 x 28 x 28"),
    "absurd sizes": (
        WHOLE[:4] + struct.pack(">3I", *[2**32 - 1] * 3) + WHOLE[16:],
        "expected the shape 8 x 28 x 28, got 4,294,967,295 x",
    ),
    "cut values": (WHOLE[:-1], "expected 6,272 values, got 6,271"),
    "values left over": (WHOLE + b"\0", "expected 6,272 values, got more"),
}


@pytest.mark.parametrize(("content", "complaint"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"])
def test_a_file_that_is_not_what_its_name_says_is_refused(
    root: Path, name: str, content: bytes, complaint: str
) -> None:
    folder = root / "MNIST" / "raw"
    (folder / "train-images-idx3-ubyte.gz").unlink()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(UserError, match=complaint) as caught:
        read(root)
    assert str(folder / name) in str(caught.value)
    assert "official file" in str(caught.value)


def test_a_gzip_file_that_is_none_is_refused(root: Path) -> None:
    (root / "MNIST/raw/t10k-labels-idx1-ubyte.gz").write_bytes(b"<!DOCTYPE html><html>")
    with pytest.raises(
        UserError, match=r"t10k-labels.*expected a whole file, got the error `Not a g"
    ):
        read(root)


@pytest.mark.parametrize("keep", [5, 12, 200, -4])
def test_a_truncated_gzip_file_is_refused(root: Path, keep: int) -> None:
    path = root / "MNIST/raw/train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz: expected a whole file"):
        read(root)


def test_a_gzip_file_with_a_flipped_byte_is_refused(root: Path) -> None:
    path = root / "MNIST/raw/train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="expected a whole file, got the error"):
        read(root)


def test_labels_out_of_range_are_refused_by_name(root: Path) -> None:
    labels = digits(8)
    labels[2] = 10
    write_mnist(root, "train", IMAGES[0], labels)
    with pytest.raises(UserError, match=r"train-labels.*labels 0\.\.9, got 10 for image 3"):
        read(root)


def test_fewer_labels_than_images_are_refused(root: Path) -> None:
    write_mnist(root, "train", IMAGES[0], digits(7))
    with pytest.raises(UserError, match=r"train-labels.*expected the shape 8, got 7"):
        read(root)


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "MNIST/raw/t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz"):
        read(root)


anything = st.binary(max_size=40).map(lambda rest: b"\0\0\x08" + rest)
wrong_length = st.binary(max_size=8).map(lambda rest: idx(pixels(2, 2))[:12] + rest)


@given(anything | wrong_length)
def test_whatever_is_in_a_file_it_is_read_exactly_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    if content[:12] == idx(pixels(2, 2))[:12] and len(content) == 16:
        assert idx(read_idx(path, (2, 2))) == content
    else:
        with pytest.raises(UserError, match=f"{path}: expected"):
            read_idx(path, (2, 2))


@real_data
def test_the_real_files_give_the_pinned_splits() -> None:
    dataset = MNIST(ZooImagesConfig())
    splits = load(dataset, REAL)
    assert fingerprint(splits) == dataset.pinned_fingerprint()
    assert {name: len(split) for name, split in splits.items()} == dataset.split_sizes()


@real_data
@pytest.mark.skipif(
    not (REAL / "MNIST/raw/train-images-idx3-ubyte").exists(),
    reason="torchvision reads unpacked files",
)
def test_the_real_images_are_those_that_torchvision_reads() -> None:
    theirs = [torchvision.datasets.MNIST(str(REAL), train=train) for train in (True, False)]
    images = torch.cat([part.data for part in theirs])
    labels = torch.cat([part.targets for part in theirs])
    for _, split in load(MNIST(ZooImagesConfig()), REAL).items():
        assert torch.equal(split.images[:, 0], images[split.ids])
        assert torch.equal(split.labels, labels[split.ids])
