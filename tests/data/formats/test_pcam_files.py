"""Both sources of PCam are read as they are published; anything else is refused with its place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from initbench.data.formats.pcam_files import H5Patches, KagglePatches, read_labels
from initbench.errors import UserError
from tests.data.official_pcam import (
    H5_SIZES,
    LABELS,
    NAMES,
    NEGATIVE,
    PATCHES,
    POSITIVE,
    table,
    write_h5,
    write_kaggle,
    write_official,
)

SPLITS = tuple(H5_SIZES)


def kaggle(root: Path) -> KagglePatches:
    folder = root / "histopathologic-cancer-detection"
    return KagglePatches(folder / "train_labels.csv", folder / "train", (NEGATIVE, POSITIVE))


def h5_path(root: Path, split: str, content: str) -> Path:
    return root / "pcam" / f"camelyonpatch_level_2_split_{split}_{content}.h5"


def official(root: Path) -> H5Patches:
    return H5Patches([(h5_path(root, split, "x"), h5_path(root, split, "y")) for split in SPLITS])


@pytest.mark.parametrize("crop", [32, 96, 2])
def test_kaggles_ids_count_the_names_in_alphabetic_order(tmp_path: Path, crop: int) -> None:
    written = write_kaggle(tmp_path)
    patches = kaggle(tmp_path)
    ids = torch.tensor([39, 0, 7, 8, 20])
    images, failures = patches.read(ids, crop)
    assert failures == {}
    assert images.shape == (5, 3, crop, crop)
    edge = (96 - crop) // 2
    for image, i in zip(images.numpy(), ids.tolist(), strict=True):
        name = sorted(NAMES)[i]
        whole = Image.fromarray(written[name])
        centre = whole.crop((edge, edge, edge + crop, edge + crop))
        assert np.array_equal(image.transpose(1, 2, 0), np.asarray(centre))
        assert patches.labels[i] == LABELS[NAMES.index(name)]


def test_the_order_of_the_table_and_of_the_folder_changes_nothing(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    before = kaggle(tmp_path)
    path = tmp_path / "histopathologic-cancer-detection" / "train_labels.csv"
    path.write_text(table(NAMES[::-1], LABELS[::-1]))
    after = kaggle(tmp_path)
    assert after.names == before.names
    assert torch.equal(after.labels, before.labels)


@pytest.mark.parametrize(
    "text",
    [
        table(NAMES[:3], [0, 1, 0]),
        table(NAMES[:3], [0, 1, 0], "\r\n"),
        "\ufeff" + table(NAMES[:3], [0, 1, 0]),
        table(NAMES[:3], [0, 1, 0]) + "\n\n",
        table(NAMES[:3], [0, 1, 0]).rstrip(),
        table(NAMES[:3], [0, 1, 0]).replace(NAMES[1], f'"{NAMES[1]}"'),
    ],
    ids=["as published", "CRLF", "a BOM", "blank lines", "no last end of line", "quotes"],
)
def test_tables_are_read_whatever_wrote_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train_labels.csv"
    path.write_bytes(text.encode())
    assert read_labels(path) == dict(zip(NAMES, [0, 1, 0], strict=False))


A, B = NAMES[:2]
TABLES: dict[str, tuple[str, str]] = {
    "empty": ("", "expected a table with the header `id,label`, got ''"),
    "a web page": ("<!DOCTYPE html>\n<html>", "got '<!DOCTYPE html>'"),
    "no header": (f"{A},0\n", f"got '{A},0'"),
    "another header": (f"id,target\n{A},0\n", "got 'id,target'"),
    "an id twice": (f"id,label\n{A},0\n{B},1\n{A},0\n", f"got `{A}` again in line 4"),
    "another label": (f"id,label\n{A},0\n{B},2\n", f"got '{B},2' in line 3"),
    "a fraction": (f"id,label\n{A},0.5\n", f"got '{A},0.5' in line 2"),
    "no label": (f"id,label\n{A}\n", f"got '{A}' in line 2"),
    "a third column": (f"id,label\n{A},0,0\n", f"got '{A},0,0' in line 2"),
    "a path": (f"id,label\n../../{A[:34]},0\n", f"got '../../{A[:34]},0' in line 2"),
    "an absolute path": ("id,label\n/etc/passwd,0\n", "got '/etc/passwd,0' in line 2"),
    "an id with a line end": (f'id,label\n"{A}\n",0\n', "in line 3"),
    "zeros in between": (f"id,label\n{A},\0\n", "expected"),
}


@pytest.mark.parametrize(("text", "complaint"), TABLES.values(), ids=TABLES)
def test_other_tables_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "train_labels.csv"
    path.write_bytes(text.encode())
    with pytest.raises(UserError) as caught:
        read_labels(path)
    assert f"{path}: " in str(caught.value)
    assert complaint in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train_labels.csv"
    path.write_bytes(b"id,label\n\xff\xfe,0\n")
    with pytest.raises(UserError, match="got the error `'utf-8' codec"):
        read_labels(path)


def test_a_folder_and_a_file_that_changed_places_are_refused(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    folder = tmp_path / "histopathologic-cancer-detection"
    with pytest.raises(UserError, match="expected a table with the header"):
        read_labels(folder / "train")
    with pytest.raises(UserError, match=r"expected a folder of `\.tif` files, got the error"):
        KagglePatches(
            folder / "train_labels.csv", folder / "train_labels.csv", (NEGATIVE, POSITIVE)
        )


def test_another_number_of_patches_is_refused(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    path = tmp_path / "histopathologic-cancer-detection" / "train_labels.csv"
    path.write_text(table(NAMES[1:], LABELS[1:]))
    with pytest.raises(UserError) as caught:
        kaggle(tmp_path)
    assert (
        "expected 40 patches (24 with label 0, 16 with label 1), "
        "got 39 patches (24 with label 0, 15 with label 1)"
    ) in str(caught.value)


def test_missing_files_are_counted_and_named(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    folder = tmp_path / "histopathologic-cancer-detection" / "train"
    for name in NAMES[:7]:
        (folder / f"{name}.tif").unlink()
    with pytest.raises(UserError) as caught:
        kaggle(tmp_path)
    first = ", ".join(f"{name}.tif" for name in sorted(NAMES[:7])[:5])
    assert f"none for 7 of them: {first}, ...; " in str(caught.value)


def test_images_that_will_not_decode_are_named_with_the_reason(tmp_path: Path) -> None:
    written = write_kaggle(tmp_path)
    folder = tmp_path / "histopathologic-cancer-detection" / "train"
    names = sorted(NAMES)
    whole = (folder / f"{names[0]}.tif").read_bytes()
    (folder / f"{names[0]}.tif").write_bytes(whole[: len(whole) // 2])
    (folder / f"{names[1]}.tif").write_bytes(b"<!DOCTYPE html>")
    (folder / f"{names[2]}.tif").write_bytes(b"")
    Image.fromarray(written[names[3]]).save(folder / f"{names[3]}.tif", format="PNG")
    Image.fromarray(written[names[4]][:32, :32]).save(folder / f"{names[4]}.tif")
    Image.fromarray(written[names[5]]).convert("L").save(folder / f"{names[5]}.tif")
    images, failures = kaggle(tmp_path).read(torch.tensor([6, 5, 4, 3, 2, 1, 0]), 96)
    assert sorted(failures) == [1, 2, 3, 4, 5, 6]
    for row, name in zip(range(1, 7), reversed(names[:6]), strict=True):
        assert failures[row].startswith(f"`{name}.tif` (")
    assert "truncated" in failures[6]
    assert all(failures[row].endswith("(not a TIFF image)") for row in (3, 4, 5))
    assert "expected RGB of 96x96 pixels, got RGB of 32x32" in failures[2]
    assert "expected RGB of 96x96 pixels, got L of 96x96" in failures[1]
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), written[names[6]])


LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "in pieces": {"chunks": (3, 96, 96, 3)},
    "packed": {"chunks": (2, 96, 96, 3), "compression": "gzip"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("crop", [32, 96])
def test_ids_of_the_official_files_count_on(
    tmp_path: Path, layout: dict[str, Any], crop: int
) -> None:
    written, labels = write_official(tmp_path, **layout)
    patches = official(tmp_path)
    assert [len(part) for part in patches.parts] == list(H5_SIZES.values())
    assert torch.cat(patches.parts).tolist() == list(range(30))
    assert patches.labels.tolist() == labels.tolist()
    edge = (96 - crop) // 2
    ids = torch.tensor([29, 0, 1, 2, 12, 5, 13, 28, 11])
    images, failures = patches.read(ids, crop)
    assert failures == {}
    for image, i in zip(images.numpy(), ids.tolist(), strict=True):
        whole = Image.fromarray(written[i])
        centre = whole.crop((edge, edge, edge + crop, edge + crop))
        assert np.array_equal(image.transpose(1, 2, 0), np.asarray(centre))


@given(ids=st.lists(st.integers(0, 29), min_size=1, unique=True))
def test_any_choice_of_patches_comes_in_the_order_asked_for(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int]
) -> None:
    root = tmp_path_factory.mktemp("any")
    written, _ = write_official(root)
    images, _ = official(root).read(torch.tensor(ids), 2)
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), written[ids, 47:49, 47:49])


def test_more_neighbours_than_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("initbench.data.formats.pcam_files._AT_ONCE", 5)
    written, _ = write_official(tmp_path)
    images, _ = official(tmp_path).read(torch.arange(30), 96)
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), written)
    write_kaggle(tmp_path)
    patches, failures = kaggle(tmp_path).read(torch.arange(PATCHES), 96)
    assert len(patches) == PATCHES
    assert failures == {}


def virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((12, 96, 96, 3), "u1")
    layout[:] = h5py.VirtualSource(path.parent / "other.h5", "x", (12, 96, 96, 3))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)


def linked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "x")


def soft(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = h5py.SoftLink("/nowhere")


def group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("x")


def outside(path: Path) -> None:
    (path.parent / "raw").write_bytes(b"secret" * 100_000)
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "x", (12, 96, 96, 3), "u1", external=[(str(path.parent / "raw"), 0, 2**20)]
        )


def bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**40, 96, 96, 3), "u1", chunks=(1, 96, 96, 3))


def of(key: str, shape: tuple[int, ...], dtype: str = "u1") -> Callable[[Path], None]:
    return lambda path: write_h5(path, key, np.zeros(shape, dtype))


def text(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


IMAGE_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (text(b""), "expected a whole HDF5 file, got the error"),
    "a web page": (text(b"<!DOCTYPE html>" * 100), "expected a whole HDF5 file, got the error"),
    "another key": (of("images", (12, 96, 96, 3)), "got none, but images"),
    "nothing": (lambda path: h5py.File(path, "w").close(), "got none, but nothing"),
    "a group": (group, "got a group"),
    "other numbers": (of("x", (12, 96, 96, 3), "f4"), "got float32 of shape (12, 96, 96, 3)"),
    "another size": (of("x", (12, 32, 32, 3)), "got uint8 of shape (12, 32, 32, 3)"),
    "another order": (of("x", (12, 3, 96, 96)), "got uint8 of shape (12, 3, 96, 96)"),
    "no patches": (of("x", (0, 96, 96, 3)), "got uint8 of shape (0, 96, 96, 3)"),
    "a number": (of("x", ()), "got uint8 of shape ()"),
    "a virtual array": (virtual, "got a reference to another file"),
    "an external link": (linked, "got none, but x"),
    "a soft link": (soft, "got none, but x"),
    "bytes of another file": (outside, "got a reference to another file"),
    "a bomb": (bomb, "more than this file can hold"),
}


@pytest.mark.parametrize(("write", "complaint"), IMAGE_FILES.values(), ids=IMAGE_FILES)
def test_other_files_of_patches_are_refused(
    tmp_path: Path, write: Callable[[Path], None], complaint: str
) -> None:
    write_official(tmp_path)
    path = h5_path(tmp_path, "train", "x")
    path.unlink()
    write(path)
    with pytest.raises(UserError) as caught:
        official(tmp_path)
    assert f"{path}: expected" in str(caught.value)
    assert complaint in str(caught.value)


LABEL_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "too few": (of("y", (11, 1, 1, 1)), "expected 12 labels for `camelyonpatch_level_2_split_"),
    "another shape": (of("y", (12,)), "got uint8 of shape (12,)"),
    "other numbers": (of("y", (12, 1, 1, 1), "f8"), "got float64 of shape (12, 1, 1, 1)"),
    "another class": (
        lambda path: write_h5(path, "y", np.array([0] * 11 + [2], "u1").reshape(-1, 1, 1, 1)),
        "expected labels 0 and 1, got 2 for patch 12",
    ),
}


@pytest.mark.parametrize(("write", "complaint"), LABEL_FILES.values(), ids=LABEL_FILES)
def test_other_files_of_labels_are_refused(
    tmp_path: Path, write: Callable[[Path], None], complaint: str
) -> None:
    write_official(tmp_path)
    path = h5_path(tmp_path, "train", "y")
    write(path)
    with pytest.raises(UserError) as caught:
        official(tmp_path)
    assert f"{path}: expected" in str(caught.value)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_truncated_file_is_refused_wherever_it_ends(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    write_official(tmp_path, **layout)
    path = h5_path(tmp_path, "valid", "x")
    whole = path.read_bytes()
    for keep in [0, 7, 8, 100, 1000, 2049, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:keep])
        with pytest.raises(UserError, match=r"split_valid_x\.h5: expected"):
            official(tmp_path)


def test_damage_within_packed_pieces_is_refused(tmp_path: Path) -> None:
    write_official(tmp_path, **LAYOUTS["packed"])
    path = h5_path(tmp_path, "test", "x")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 5000] = b"x" * 5000
    path.write_bytes(content)
    patches = official(tmp_path)
    with pytest.raises(UserError, match=r"split_test_x\.h5: expected a whole HDF5 file"):
        patches.read(torch.arange(30), 96)


def test_without_h5py_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_official(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"pip install 'initbench\[hdf5\]'"):
        official(tmp_path)
