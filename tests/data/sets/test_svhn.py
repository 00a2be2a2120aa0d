"""SVHN is read from the official MATLAB files, made grey as Pillow does, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from initbench.data.dataset import ImageSplits
from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load
from initbench.data.sets.svhn import SVHN, SVHNConfig
from initbench.errors import UserError
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_zoo import Bytes, check_split, digits, pixels, write_svhn

IMAGES = (pixels(8, 32, 32, 3), digits(8))
TEST_IMAGES = (pixels(4, 32, 32, 3, seed=1), digits(4))


class SmallSVHN(SVHN):
    sizes = (5, 3, 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_svhn(tmp_path / "svhn" / "train_32x32.mat", *IMAGES)
    write_svhn(tmp_path / "svhn" / "test_32x32.mat", *TEST_IMAGES)
    return tmp_path


def read(root: Path, channels: Literal["grey", "rgb"] = "grey") -> ImageSplits:
    return load(SmallSVHN(SVHNConfig(channels=channels)), root)


def rgb(images: Bytes) -> Bytes:
    return images.transpose(0, 3, 1, 2)


def of_pillow(images: Bytes) -> Bytes:
    """Each image made grey and cropped by Pillow."""
    grey = [Image.fromarray(image).convert("L").crop((2, 2, 30, 30)) for image in images]
    return np.stack([np.asarray(image) for image in grey])[:, None]


def test_grey_images_are_those_of_pillow_in_the_published_splits(root: Path) -> None:
    train, test = ((of_pillow(images), labels) for images, labels in (IMAGES, TEST_IMAGES))
    splits = read(root)
    check_split(splits, train, test, SmallSVHN.sizes)
    assert (splits.mean, splits.std) == ((0.5,), (0.5,))


def test_rgb_images_are_the_published_splits_unchanged(root: Path) -> None:
    train, test = ((rgb(images), labels) for images, labels in (IMAGES, TEST_IMAGES))
    splits = read(root, "rgb")
    check_split(splits, train, test, SmallSVHN.sizes)
    assert (splits.mean, splits.std) == ((0.5,) * 3, (0.5,) * 3)


def test_greys_of_all_corners_and_edges_of_the_colours_are_pillows(tmp_path: Path) -> None:
    """All colours of levels 0, 1, 127, 128, 254, 255, and all greys."""
    levels = np.array([0, 1, 127, 128, 254, 255], np.uint8)
    images = np.zeros((8, 32, 32, 3), np.uint8)
    corners = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    greys = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    colours = np.concatenate([corners, greys])
    images[:, 2:30, 2:30] = np.resize(colours, (8, 28, 28, 3))
    write_svhn(tmp_path / "svhn" / "train_32x32.mat", images, digits(8))
    write_svhn(tmp_path / "svhn" / "test_32x32.mat", *TEST_IMAGES)
    splits = read(tmp_path)
    expected = of_pillow(images)
    for split in (splits.train, splits.validation):
        assert np.array_equal(split.images.numpy(), expected[split.ids.numpy()])


def test_fixtures_read_alike_with_torchvision(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    theirs = torchvision.datasets.SVHN(str(root / "svhn"), split="test")
    ours = read(root, "rgb").test
    assert np.array_equal(ours.images.numpy(), theirs.data)
    assert ours.labels.tolist() == theirs.labels.tolist()


def test_the_files_may_lie_beside_the_folder(root: Path) -> None:
    expected = fingerprint(read(root))
    for path in list((root / "svhn").iterdir()):
        path.rename(root / path.name)
    assert fingerprint(read(root)) == expected


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "svhn", SVHN)) == []
    for channels in ("grey", "rgb"):
        assert SVHN(SVHNConfig(channels=channels)).split_sizes() == {  # type: ignore[arg-type]
            "train": 60_000,
            "validation": 13_257,
            "test": 26_032,
        }


def test_digests_and_addresses_are_those_of_torchvision_over_https() -> None:
    lists = torchvision.datasets.SVHN.split_list
    theirs = {
        (lists[p][0].replace("http:", "https:"), f"md5:{lists[p][2]}") for p in ("train", "test")
    }
    dataset = SVHN(SVHNConfig())
    assert {(d.urls[0], d.digest) for d in dataset.downloads()} == theirs
    assert {digest for f in dataset.files() for form in f.forms() for digest in form.digests} == {
        digest for _, digest in theirs
    }


X = IMAGES[0].transpose(1, 2, 3, 0)
Y = np.arange(1, 9, dtype=np.uint8)[:, None]
CONTENTS: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"X": X}, "expected one variable `y`, uint8 or double of shape (8, 1), got none"),
    "no images": ({"y": Y}, "expected one variable `X`, uint8 of shape (32, 32, 3, 8), got none"),
    "zero images": (
        {"X": X[..., :0], "y": Y[:0]},
        "`X`, uint8 of shape (32, 32, 3, 8), got uint8 of shape (32, 32, 3, 0)",
    ),
    "too few images": ({"X": X[..., :7], "y": Y}, "got uint8 of shape (32, 32, 3, 7)"),
    "too few labels": ({"X": X, "y": Y[:7]}, "got uint8 of shape (7, 1)"),
    "other numbers": ({"X": X / 255, "y": Y}, "got double of shape (32, 32, 3, 8)"),
    "another order": ({"X": IMAGES[0], "y": Y}, "got uint8 of shape (8, 32, 32, 3)"),
    "words": ({"X": X, "y": np.array(["12345678"])}, "got char of shape"),
    "the label 0": ({"X": X, "y": Y - 1}, "expected labels 1..10, got 0 for image 1"),
    "a label too large": ({"X": X, "y": Y + 3}, "expected labels 1..10, got 11 for image 8"),
    "half a label": ({"X": X, "y": Y + 0.5}, "expected labels 1..10, got 1.5 for image 1"),
}


@pytest.mark.parametrize(("content", "complaint"), CONTENTS.values(), ids=CONTENTS)
def test_other_contents_are_refused(root: Path, content: dict[str, Any], complaint: str) -> None:
    path = root / "svhn" / "train_32x32.mat"
    savemat(path, content, do_compression=True)
    with pytest.raises(UserError) as caught:
        read(root)
    assert f"{path}: " in str(caught.value)
    assert complaint in str(caught.value)
    assert "official file" in str(caught.value)


def test_labels_that_matlab_holds_as_doubles_are_read(root: Path) -> None:
    expected = fingerprint(read(root))
    y = np.array([[label or 10.0] for label in IMAGES[1].tolist()])
    savemat(root / "svhn" / "train_32x32.mat", {"X": X, "y": y}, do_compression=True)
    assert fingerprint(read(root)) == expected


def test_other_versions_of_matlab_files_are_refused(root: Path) -> None:
    path = root / "svhn" / "train_32x32.mat"
    savemat(path, {"y": Y}, format="4")
    with pytest.raises(UserError, match="expected a MATLAB file of version 5, got one of another"):
        read(root)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["X"] = X
    with path.open("r+b") as raw:  # as MATLAB marks its HDF5 files
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    with pytest.raises(UserError, match="expected a MATLAB file of version 5, got one of another"):
        read(root)


@pytest.mark.parametrize(
    "content", [b"", b"MATLAB", b"<!DOCTYPE html><html>" * 50], ids=["empty", "cut", "a web page"]
)
def test_a_file_that_is_no_matlab_file_is_refused(root: Path, content: bytes) -> None:
    path = root / "svhn" / "test_32x32.mat"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"test_32x32\.mat: expected a MATLAB file of version 5"):
        read(root)


def test_a_truncated_file_is_refused_wherever_it_ends(root: Path) -> None:
    path = root / "svhn" / "train_32x32.mat"
    whole = path.read_bytes()
    for keep in [*range(100, 300, 7), *range(300, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:keep])
        with pytest.raises(UserError, match=r"train_32x32\.mat: expected"):
            read(root)


def complaint_about(root: Path) -> str | None:
    try:
        read(root)
    except UserError as error:
        return str(error)
    return None


def test_flipped_bytes_are_refused_or_change_nothing(root: Path) -> None:
    """zlib's checksum covers both variables; a flip elsewhere may hit unused text of the header."""
    expected = fingerprint(read(root))
    path = root / "svhn" / "train_32x32.mat"
    whole = path.read_bytes()
    for place in [*range(116, 200), *range(200, len(whole), 499)]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x11
        path.write_bytes(damaged)
        if complaint := complaint_about(root):
            assert str(path) in complaint
        else:
            assert fingerprint(read(root)) == expected


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "svhn" / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"test_32x32\.mat"):
        read(root)
