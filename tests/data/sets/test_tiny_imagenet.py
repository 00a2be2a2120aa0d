"""Tiny ImageNet is the same from either layout, and a broken archive is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import load, prepare
from initbench.data.sets.tiny_imagenet import TinyImageNet, TinyImageNetConfig
from initbench.errors import UserError
from tests.data.photographs import photograph, save

WNIDS = ["n01443537", "n01629819", "n02124075"]


class Small(TinyImageNet):
    """Tiny ImageNet with three classes."""

    classes = len(WNIDS)


def small(**config: object) -> Small:
    return Small(TinyImageNetConfig.model_validate({"held_out": 1, **config}))


def _test_images() -> list[tuple[str, str, int]]:
    """Name, class and seed of each test image, in the order of the official list: none."""
    return [(f"val_{n}.JPEG", WNIDS[n % 3], 200 + n) for n in (10, 0, 9, 4, 2, 11)]


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """The layout of the official archive."""
    folder = tmp_path / "official" / "tiny-imagenet-200"
    for label, wnid in enumerate(WNIDS):
        for number in (0, 10, 9, 1):
            mode = "L" if number == 9 else "RGB"
            path = folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            save(photograph(10 * label + number, 64, 64, mode), path)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t63\t63\n")
    lines = []
    for name, wnid, seed in _test_images():
        save(photograph(seed, 64, 64), folder / "val" / "images" / name)
        lines.append(f"{name}\t{wnid}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(reversed(WNIDS)))
    save(photograph(300, 64, 64), folder / "test" / "images" / "test_0.JPEG")
    return folder.parent


@pytest.fixture
def sorted_by_class(tmp_path: Path, official: Path) -> Path:
    """The same images, as ImageFolder wants them."""
    folder = tmp_path / "sorted" / "tiny-imagenet"
    for path in (official / "tiny-imagenet-200" / "train").rglob("*.JPEG"):
        target = folder / "train" / path.parent.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for name, wnid, _ in _test_images():
        target = folder / "val" / wnid / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((official / "tiny-imagenet-200/val/images" / name).read_bytes())
    return folder.parent


def test_both_layouts_give_the_same_splits(official: Path, sorted_by_class: Path) -> None:
    splits = load(small(), official)
    assert fingerprint(splits) == fingerprint(load(small(), sorted_by_class))
    assert [len(split) for _, split in splits.items()] == [9, 3, 6]
    assert isinstance(splits.train.images, torch.Tensor)


def test_images_are_counted_in_the_order_of_class_and_name(official: Path) -> None:
    splits = load(small(), official)
    assert splits.test.ids.tolist() == [12, 13, 14, 15, 16, 17]
    assert splits.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    names = sorted(_test_images(), key=lambda image: (image[1], image[0]))
    for image, (name, _, _) in zip(splits.test.images, names, strict=True):
        from PIL import Image
        from torchvision.transforms.functional import pil_to_tensor

        with Image.open(official / "tiny-imagenet-200" / "val" / "images" / name) as file:
            assert torch.equal(image, pil_to_tensor(file.convert("RGB")))
    together = torch.cat([splits.train.ids, splits.validation.ids]).sort().values
    assert together.tolist() == list(range(12))
    assert splits.validation.labels.tolist() == [0, 1, 2]


def test_a_test_folder_sorted_in_place_is_read_too(official: Path) -> None:
    expected = fingerprint(load(small(), official))
    val = official / "tiny-imagenet-200" / "val"
    for name, wnid, _ in _test_images():
        (val / wnid).mkdir(exist_ok=True)
        (val / "images" / name).rename(val / wnid / name)
    (val / "images").rmdir()
    assert fingerprint(load(small(), official)) == expected


def test_it_comes_at_the_size_of_the_model(official: Path) -> None:
    assert prepare(small(), 32, official).train.images.shape == (9, 3, 32, 32)


def _error(root: Path, **config: object) -> str:
    with pytest.raises(UserError) as error:
        load(small(**config), root)
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("val_4.JPEG\tn99999999\t0\t0\t9\t9", "n99999999"),
        ("val_0.JPEG\tn01443537\t0\t0\t9\t9", "val_0.JPEG"),  # a second time
        ("val_4.JPEG n01629819 0 0 9 9", "val_4.JPEG n01629819"),
        ("<!DOCTYPE html>", "DOCTYPE"),
        ("", "b''"),
    ],
)
def test_a_wrong_line_of_the_list_is_named(official: Path, line: str, shown: str) -> None:
    path = official / "tiny-imagenet-200" / "val" / "val_annotations.txt"
    lines = path.read_text().splitlines()
    lines[3] = line
    path.write_text("\n".join(lines))
    message = _error(official)
    assert f"`{path}`, line 4: expected the name of another image and its class" in message
    assert shown in message


def test_list_and_folder_must_agree(official: Path) -> None:
    val = official / "tiny-imagenet-200" / "val"
    (val / "images" / "val_4.JPEG").rename(official / "val_4.JPEG")
    assert "`val_4.JPEG` is only in the list" in _error(official)
    (official / "val_4.JPEG").rename(val / "images" / "val_4.JPEG")
    save(photograph(1, 64, 64), val / "images" / "val_5.JPEG")
    assert "`val_5.JPEG` is only in the folder" in _error(official)
    (val / "val_annotations.txt").unlink()
    assert "val_annotations.txt`: cannot be read: No such file" in _error(official)


def test_missing_parts_are_named(official: Path) -> None:
    folder = official / "tiny-imagenet-200"
    (folder / "val").rename(official / "elsewhere")
    assert f"`{folder / 'val'}`: expected a folder" in _error(official)
    folder.rename(official / "other")
    message = _error(official)
    assert "tiny-imagenet-200" in message
    assert "initbench data fetch tiny_imagenet" in message


def test_images_of_another_size_are_refused(official: Path) -> None:
    path = official / "tiny-imagenet-200" / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_1.JPEG"
    save(photograph(5, 80, 64), path)
    assert f"`{path}`: expected 64 x 64 pixels, got 80 x 64" in _error(official)


def test_broken_images_stop_or_are_left_out(official: Path) -> None:
    path = official / "tiny-imagenet-200" / "train" / WNIDS[1] / "images" / f"{WNIDS[1]}_10.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    assert f"`{path}`: expected a JPEG or PNG image" in _error(official)
    splits = load(small(undecodable="skip"), official)
    assert [str(remark) for remark in splits.remarks] == [
        f"images left out: 1 image that will not decode: `{path.name}`"
    ]
    assert sum(len(split) for _, split in splits.items()) == 17


_DATA = Path(os.environ.get("INITBENCH_DATA", "")) / "tiny-imagenet"


@pytest.mark.skipif(
    not os.environ.get("INITBENCH_DATA") or not _DATA.is_dir(),
    reason="needs the folder `tiny-imagenet` in INITBENCH_DATA",
)
def test_the_copy_sorted_by_class_is_read() -> None:
    splits = load(TinyImageNet(TinyImageNetConfig(held_out=5)), _DATA.parent)
    assert splits.validation.labels.bincount().tolist() == [5] * 200
    assert splits.test.labels.unique().numel() == 200
    assert len(splits.train) + len(splits.validation) == len(list(_DATA.glob("train/*/*.JPEG")))
    pixels = splits.test.images[:].float() / 255
    assert torch.allclose(pixels.mean((0, 2, 3)), torch.tensor(splits.mean), atol=0.03)
