"""STL-10 is read from the official binary files, upright, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torchvision

from initbench.data.dataset import ImageSplits
from initbench.data.prepared import load
from initbench.data.sets.stl10 import STL10
from initbench.data.sets.zoo_images import ZooImagesConfig
from initbench.errors import UserError
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_zoo import check_split, digits, pixels, write_stl10

IMAGES = (pixels(8, 96, 96, 3), digits(8))
TEST_IMAGES = (pixels(4, 96, 96, 3, seed=1), digits(4))


class SmallSTL10(STL10):
    sizes = (5, 3, 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_stl10(tmp_path / "stl10_binary", "train", *IMAGES)
    write_stl10(tmp_path / "stl10_binary", "test", *TEST_IMAGES)
    return tmp_path


def read(root: Path) -> ImageSplits:
    return load(SmallSTL10(ZooImagesConfig()), root)


def test_the_files_give_upright_images_in_the_published_splits(root: Path) -> None:
    train, test = (
        (images.transpose(0, 3, 1, 2), labels) for images, labels in (IMAGES, TEST_IMAGES)
    )
    splits = read(root)
    check_split(splits, train, test, SmallSTL10.sizes)
    assert (splits.mean, splits.std) == ((0.5,) * 3, (0.5,) * 3)


def test_columns_come_first_in_the_file(root: Path) -> None:
    """The second byte of the file is the pixel below the first one, not the one beside it."""
    content = (root / "stl10_binary" / "test_X.bin").read_bytes()
    image = read(root).test.images[0]
    assert image[0, 1, 0] == content[1]
    assert image[0, 0, 1] == content[96]
    assert image[1, 0, 0] == content[96 * 96]


def test_fixtures_read_alike_with_torchvision(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.STL10, "_check_integrity", lambda self: True)
    theirs = torchvision.datasets.STL10(str(root), split="test")
    ours = read(root).test
    assert np.array_equal(ours.images.numpy(), theirs.data)
    assert ours.labels.tolist() == theirs.labels.tolist()


def test_unlabelled_images_are_not_needed_and_not_read(root: Path) -> None:
    (root / "stl10_binary" / "unlabeled_X.bin").write_bytes(b"anything")
    assert len(read(root).train) == 5


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "stl10", STL10)) == []
    assert STL10(ZooImagesConfig()).split_sizes() == {
        "train": 4_200,
        "validation": 800,
        "test": 8_000,
    }


def test_digests_and_address_are_those_of_torchvision_over_https() -> None:
    theirs = torchvision.datasets.STL10
    dataset = STL10(ZooImagesConfig())
    assert {(Path(f.path).name, *f.digests) for f in dataset.files()} == {
        (name, f"md5:{md5}")
        for name, md5 in (*theirs.train_list, *theirs.test_list)
        if name != "unlabeled_X.bin"
    }
    (download,) = dataset.downloads()
    assert download.urls == (theirs.url.replace("http:", "https:"),)
    assert download.digest == f"md5:{theirs.tgz_md5}"


def test_sizes_of_the_files_are_those_of_their_images() -> None:
    sizes = {Path(f.path).name: f.size for f in STL10(ZooImagesConfig()).files()}
    train, test = 5_000, 8_000
    pixels_each = 3 * 96 * 96
    assert sizes == {
        "train_X.bin": train * pixels_each,
        "train_y.bin": train,
        "test_X.bin": test * pixels_each,
        "test_y.bin": test,
    }


@pytest.mark.parametrize("name", ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"])
@pytest.mark.parametrize("change", ["cut", "longer", "empty", "a web page"])
def test_files_of_another_size_are_refused(root: Path, name: str, change: str) -> None:
    path = root / "stl10_binary" / name
    whole = path.read_bytes()
    content = {
        "cut": whole[:-1],
        "longer": whole + b"\1",
        "empty": b"",
        "a web page": b"<!DOCTYPE html>",
    }
    path.write_bytes(content[change])
    complaint = f"in {len(whole):,} bytes, got {len(content[change]):,} bytes; replace it"
    with pytest.raises(UserError, match=complaint) as caught:
        read(root)
    assert f"{path}: expected" in str(caught.value)


@pytest.mark.parametrize("label", [0, 11])
def test_labels_out_of_range_are_refused_by_name(root: Path, label: int) -> None:
    (root / "stl10_binary" / "train_y.bin").write_bytes(bytes([1, 2, 3, label, 5, 6, 7, 10]))
    with pytest.raises(UserError, match=rf"labels 1\.\.10, got {label} for image 4"):
        read(root)


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "stl10_binary" / "test_y.bin").unlink()
    with pytest.raises(UserError, match=r"test_y\.bin"):
        read(root)
