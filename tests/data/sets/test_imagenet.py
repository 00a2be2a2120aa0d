"""ImageNet is read from its folders: classes and images in order, validation held out of train."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from initbench.data.dataset import ImageSplits
from initbench.data.device_data import on_device
from initbench.data.fingerprint import fingerprint
from initbench.data.image_files import ImageFiles, UndecodableError
from initbench.data.prepared import from_tensors, load, prepare, to_tensors
from initbench.data.sets.imagenet import ImageNet, ImageNetConfig
from initbench.errors import UserError
from tests.data.photographs import photograph, save

WNIDS = ["n01440764", "n01443537", "n02105855"]
SMALL = {"held_out": 2, "size": 14}


class Small(ImageNet):
    """ImageNet with three classes."""

    classes = len(WNIDS)


def small(**config: object) -> Small:
    return Small(ImageNetConfig.model_validate({**SMALL, **config}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six training and two test images of each class, grey, CMYK and PNG ones among them."""
    for label, wnid in enumerate(WNIDS):
        for number, name in enumerate([10, 9, 100, 23, 4, 77]):
            mode = ["L", "CMYK", "RGB"][(label + number) % 3]
            kind = "PNG" if (label, number) == (2, 0) else "JPEG"
            image = photograph(10 * label + number, 30 + number, 24, mode)
            save(image, tmp_path / "imagenet" / "train" / wnid / f"{wnid}_{name}.JPEG", kind)
        for number in (2, 1):
            path = tmp_path / "imagenet" / "val" / wnid / f"ILSVRC2012_val_{label}{number}.JPEG"
            save(photograph(100 + 10 * label + number), path)
    return tmp_path


def _paths(images: object) -> list[str]:
    assert isinstance(images, ImageFiles)
    return [images.path(i).relative_to(images.root).as_posix() for i in range(len(images))]


def _all_paths(root: Path, part: str) -> list[str]:
    """As torchvision's ImageFolder: classes by name, then images by name."""
    return [
        f"imagenet/{part}/{wnid}/{name}"
        for wnid in WNIDS
        for name in sorted(os.listdir(root / "imagenet" / part / wnid))
    ]


def test_splits_follow_the_order_of_classes_and_names(root: Path) -> None:
    splits = load(small(), root)
    train, test = _all_paths(root, "train"), _all_paths(root, "val")
    assert _paths(splits.test.images) == test
    assert splits.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert splits.test.ids.tolist() == list(range(18, 24))
    for split, each in ((splits.train, 4), (splits.validation, 2)):
        assert _paths(split.images) == [train[i] for i in split.ids.tolist()]
        assert split.labels.tolist() == [i // 6 for i in split.ids.tolist()]
        assert split.labels.bincount().tolist() == [each] * 3
    together = torch.cat([splits.train.ids, splits.validation.ids])
    assert together.sort().values.tolist() == list(range(18))
    assert (splits.mean, splits.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_validation_is_a_seeded_draw(root: Path) -> None:
    drawn = torch.randperm(18, generator=torch.Generator().manual_seed(42)).tolist()
    first = [[i for i in drawn if i // 6 == label][:2] for label in range(3)]
    expected = sorted(i for of_class in first for i in of_class)
    assert load(small(), root).validation.ids.tolist() == expected == [3, 4, 6, 7, 14, 15]


def test_images_are_listed_but_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_image(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", no_image)
    prepared = prepare(small(), 8, root)
    assert prepared.train.images.shape == (12, 3, 8, 8)


def test_they_come_at_the_size_of_the_model(root: Path) -> None:
    assert load(small(size=20), root).train.images[:2].shape == (2, 3, 20, 20)
    assert prepare(small(), 9, root).train.images[:2].shape == (2, 3, 9, 9)
    assert ImageNet(ImageNetConfig()).native_size == 224
    assert small(size=20).native_size == 20
    assert (small().view().shorter, ImageNet(ImageNetConfig()).view().shorter) == (16, 256)


def test_prepared_data_are_found_again_in_another_place(root: Path, tmp_path: Path) -> None:
    prepared = prepare(small(), 8, root)
    tensors, description = to_tensors(prepared)
    moved = tmp_path / "moved"
    moved.mkdir()
    (root / "imagenet").rename(moved / "imagenet")
    again = from_tensors(tensors, description, moved)
    assert fingerprint(again) == fingerprint(prepared)
    assert again.train.images[:].shape == (12, 3, 8, 8)
    with pytest.raises(UserError, match="set INITBENCH_DATA"):
        from_tensors(tensors, description, None)


def test_the_fingerprint_knows_files_but_not_their_folder(root: Path) -> None:
    expected = fingerprint(load(small(), root))
    (root / "copies").mkdir()
    (root / "imagenet").rename(root / "copies" / "imagenet")
    assert fingerprint(load(small(folder="copies"), root)) == expected
    path = root / "copies" / "imagenet" / "train" / WNIDS[0] / f"{WNIDS[0]}_4.JPEG"
    save(photograph(77), path)
    assert fingerprint(load(small(folder="copies"), root)) != expected


def test_what_is_no_image_by_its_name_is_passed_over(root: Path) -> None:
    expected = fingerprint(load(small(), root))
    folder = root / "imagenet" / "train" / WNIDS[1]
    for name in (".DS_Store", "._n01443537_4.JPEG", "Thumbs.db", "list.txt"):
        (folder / name).write_bytes(b"\0")
    (folder / "folder.JPEG").mkdir()
    (root / "imagenet" / "val" / ".ipynb_checkpoints").mkdir()
    (root / "imagenet" / "val" / "classes.txt").write_text("")
    assert fingerprint(load(small(), root)) == expected


def _error(root: Path, **config: object) -> str:
    with pytest.raises(UserError) as error:
        load(small(**config), root)
    return str(error.value)


def test_a_missing_folder_is_named_with_what_to_do(root: Path) -> None:
    (root / "imagenet" / "val").rename(root / "elsewhere")
    message = _error(root)
    assert "imagenet/val" in message
    assert "https://image-net.org/download.php" in message


def test_images_that_are_not_sorted_by_class_are_recognised(root: Path) -> None:
    val = root / "imagenet" / "val"
    for path in list(val.rglob("*.JPEG")):
        path.rename(val / path.name)
    for wnid in WNIDS:
        (val / wnid).rmdir()
    message = _error(root)
    assert f"`{val}`: expected 3 folders, one for each class, got 6 files side by side" in message
    assert "valprep.sh" in message


def test_a_file_in_place_of_the_folder_is_refused(root: Path) -> None:
    (root / "imagenet" / "val").rename(root / "elsewhere")
    (root / "imagenet" / "val").write_bytes(b"")
    message = _error(root)
    assert f"{root / 'imagenet' / 'val'}" in message


def test_missing_and_other_classes_are_refused(root: Path) -> None:
    val = root / "imagenet" / "val"
    (val / WNIDS[2]).rename(val / "n99999999")
    assert f"`{val}`: expected the same class folders as in" in _error(root)
    (val / "n99999999").rename(root / "elsewhere")
    assert f"`{val}`: expected 3 folders, one for each class, got 2" in _error(root)


def test_a_class_without_images_is_named(root: Path) -> None:
    folder = root / "imagenet" / "val" / WNIDS[1]
    for path in folder.iterdir():
        path.rename(path.with_suffix(".txt"))
    assert f"`{folder}`: expected images (.jpeg, .jpg, .png), got none" in _error(root)


def test_a_class_must_keep_images_for_training(root: Path) -> None:
    assert "`held_out` is 6" in _error(root, held_out=6)
    assert "has 6; set `held_out` to 5 at most, or complete that folder" in _error(root, held_out=6)
    for path in list((root / "imagenet" / "train" / WNIDS[1]).iterdir())[1:]:
        path.unlink()
    message = _error(root)
    assert f"but `{WNIDS[1]}` has 1; complete that folder" in message


def test_broken_images_stop_by_default_with_the_way_on(root: Path) -> None:
    broken = root / "imagenet" / "train" / WNIDS[1] / f"{WNIDS[1]}_9.JPEG"
    broken.write_bytes(broken.read_bytes()[:200])
    data = on_device(load(small(), root), "cpu")
    split = "train" if 11 in data.train.ids.tolist() else "validation"
    with pytest.raises(UndecodableError, match=r"n01443537_9\.JPEG.*`undecodable: skip`"):
        list(data.batches(split, 6))


def test_broken_images_can_be_left_out_and_are_counted(root: Path) -> None:
    whole = load(small(), root)
    in_train = root / "imagenet" / "train" / WNIDS[1] / f"{WNIDS[1]}_9.JPEG"
    in_test = root / "imagenet" / "val" / WNIDS[2] / "ILSVRC2012_val_21.JPEG"
    in_train.write_bytes(in_train.read_bytes()[:200])
    in_test.write_bytes(b"not an image")
    splits = load(small(undecodable="skip"), root)
    assert [str(remark) for remark in splits.remarks] == [
        "images left out: 2 images that will not decode: `n01443537_9.JPEG`, "
        "`ILSVRC2012_val_21.JPEG`"
    ]
    left_out = {11, 22}  # their ids; all other images keep theirs, and their split
    for (name, split), (_, before) in zip(splits.items(), whole.items(), strict=True):
        expected = [i for i in before.ids.tolist() if i not in left_out]
        assert split.ids.tolist() == expected, name
        assert len(split.labels) == len(split.images[:]) == len(expected)
    assert sum(len(split) for _, split in splits.items()) == 22
    tensors, description = to_tensors(splits)
    assert from_tensors(tensors, description, root).remarks == splits.remarks


def test_nothing_is_remarked_where_nothing_is_broken(root: Path) -> None:
    splits = load(small(undecodable="skip"), root)
    assert splits.remarks == ()
    assert fingerprint(splits) == fingerprint(load(small(), root))


def test_broken_images_are_looked_for_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []
    skipping = small(undecodable="skip")
    skipping.make(root, lambda *what: told.append(what))
    assert told == [("decoding imagenet/train", 18, 18), ("decoding imagenet/val", 6, 6)]
    skipping.make(root, lambda *what: told.append(what))
    assert len(told) == 2

    broken = root / "imagenet" / "train" / WNIDS[0] / f"{WNIDS[0]}_9.JPEG"
    broken.write_bytes(b"another size, so that it is looked at again")
    assert len(load(skipping, root).remarks) == 1
    monkeypatch.setattr(Image, "open", None)  # opening one would raise another error
    assert len(load(skipping, root).remarks) == 1
    small().make(root, lambda *what: told.append(what))
    assert len(told) == 2


_DATA = Path(os.environ.get("INITBENCH_DATA", "")) / "imagenet"
needs_imagenet = pytest.mark.skipif(
    not os.environ.get("INITBENCH_DATA") or not _DATA.is_dir(),
    reason="needs the folder `imagenet` in INITBENCH_DATA",
)


@needs_imagenet
def test_a_copy_with_one_image_a_class_is_refused() -> None:
    if len(list((_DATA / "train" / "n01440764").iterdir())) > 1:
        pytest.skip("the copy has more images")
    with pytest.raises(UserError, match=r"`n01440764` has 1; complete that folder"):
        load(ImageNet(ImageNetConfig()), _DATA.parent)


@needs_imagenet
def test_real_photographs_are_streamed() -> None:
    dataset = ImageNet(ImageNetConfig())
    _, listing = dataset.list_files(_DATA.parent)
    files = dataset._image_files(_DATA.parent, listing)
    assert listing.labels.unique().numel() == 1000
    split = load_part(files.take(torch.arange(0, len(files), len(files) // 40)))
    data = on_device(split, "cpu")
    images = torch.cat([images for images, _ in data.batches("test", 16)])
    assert images.shape == (len(split.test), 3, 224, 224)
    assert images.mean((0, 2, 3)).abs().max() < 0.5  # photographs, normalised
    assert 0.7 < images.std() < 1.3


def load_part(files: ImageFiles) -> ImageSplits:
    from initbench.data.dataset import Split

    ids = torch.arange(len(files))
    split = Split(files, ids, ids)
    return ImageSplits(split, split, split, 1000, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
