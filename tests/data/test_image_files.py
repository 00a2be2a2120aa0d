"""Image files look like a tensor, give the usual pixels, and name the file that is broken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from initbench.data.image_files import ImageFiles, UndecodableError, View, decoders
from initbench.data.resize import resize
from initbench.errors import UserError
from tests.data.photographs import jpeg, photograph, save

VIEW = View(crop=28, shorter=32)


def image_files(root: Path, view: View = VIEW, folder: str = "photos") -> ImageFiles:
    """All files below `folder`, in the order of their names."""
    paths = sorted(path for path in (root / folder).rglob("*") if path.is_file())
    return ImageFiles(
        root=root,
        folder=folder,
        names=np.array([os.fsencode(path.relative_to(root / folder)) for path in paths]),
        sizes=np.array([path.stat().st_size for path in paths], dtype=np.int64),
        view=view,
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, shape in enumerate([(80, 60), (60, 80), (33, 47), (20, 20), (500, 40), (32, 32)]):
        save(photograph(seed, *shape), tmp_path / "photos" / f"{seed}.JPEG")
    return tmp_path


def test_they_can_be_asked_what_a_tensor_can(photos: Path) -> None:
    files = image_files(photos)
    every = files[:]
    assert (files.shape, files.ndim, files.dtype, len(files)) == (
        every.shape,
        every.ndim,
        every.dtype,
        len(every),
    )
    assert every.shape == (6, 3, 28, 28)
    indices = torch.tensor([4, 0, 4])
    assert torch.equal(files[indices], every[indices])
    assert torch.equal(files[1:3], every[1:3])
    assert torch.equal(files.take(indices)[:], every[indices])
    assert files[:0].shape == (0, 3, 28, 28)
    with pytest.raises(IndexError):
        files[torch.tensor([6])]


def test_the_view_is_that_of_torchvision(photos: Path) -> None:
    usual = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28)])
    files = image_files(photos)
    for position in range(len(files)):
        with Image.open(files.path(position)) as image:
            expected = np.asarray(usual(image.convert("RGB"))).transpose(2, 0, 1)
        assert np.array_equal(files.decode(position), expected)


def test_the_model_may_want_another_size(photos: Path) -> None:
    files = image_files(photos)
    smaller = files.at_size(12)
    assert smaller.shape == (6, 3, 12, 12)
    assert torch.equal(smaller[:], resize(files[:], 12))
    assert smaller.at_size(28).view == files.view


def test_without_scaling_the_size_must_fit(photos: Path) -> None:
    files = image_files(photos, View(crop=32))
    assert files[torch.tensor([5])].shape == (1, 3, 32, 32)
    with pytest.raises(UserError, match=r"0\.JPEG`: expected 32 x 32 pixels, got 80 x 60"):
        files[:]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG")],
)
def test_every_kind_of_image_comes_in_colours(tmp_path: Path, mode: str, kind: str) -> None:
    path = save(photograph(3, 32, 32, mode), tmp_path / "photos" / "0.JPEG", kind)
    seen = image_files(tmp_path, View(crop=32)).decode(0)
    with Image.open(path) as image:
        assert np.array_equal(seen, np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    assert seen.std() > 10


def test_a_long_thin_image_may_not_fill_the_memory(tmp_path: Path) -> None:
    save(photograph(0, 60_000, 1), tmp_path / "photos" / "0.JPEG")
    save(photograph(0, 400, 1), tmp_path / "photos" / "1.JPEG")
    files = image_files(tmp_path, View(crop=224, shorter=256))
    with pytest.raises(UndecodableError, match=r"0\.JPEG`: .* got 60000 x 1 pixels"):
        files.decode(0)
    assert files.decode(1).shape == (3, 224, 224)
    assert list(files.undecodable()) == [0]


_BROKEN = {
    "truncated": jpeg(1)[:-400],
    "a beginning": jpeg(1)[:20],
    "text": b"not an image\n",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "empty": b"",
    "another format": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "png without its end": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00",
}


@pytest.mark.parametrize("kind", _BROKEN)
def test_an_image_that_will_not_decode_is_named(photos: Path, kind: str) -> None:
    (photos / "photos" / "2.JPEG").write_bytes(_BROKEN[kind])
    files = image_files(photos)
    with pytest.raises(UndecodableError, match=r"photos/2\.JPEG`: expected a JPEG or PNG image.*"):
        files[:]
    assert list(files.undecodable()) == [2]
    assert files[torch.tensor([0, 1, 3, 4, 5])].shape[0] == 5


def test_a_decompression_bomb_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # as if the images had 100 megapixels
    with pytest.raises(UndecodableError, match=r"0\.JPEG`.*decompression bomb"):
        image_files(photos)[:1]


def test_the_first_broken_image_is_the_one_that_is_named(photos: Path) -> None:
    for name in ("1.JPEG", "4.JPEG"):
        (photos / "photos" / name).write_bytes(b"text")
    with pytest.raises(UndecodableError, match=r"4\.JPEG"):
        image_files(photos)[torch.tensor([0, 4, 1])]


def test_missing_and_changed_files_are_no_matter_of_decoding(photos: Path) -> None:
    files = image_files(photos)
    (photos / "photos" / "1.JPEG").write_bytes(jpeg(9))
    (photos / "photos" / "3.JPEG").unlink()
    with pytest.raises(UserError, match=r"1\.JPEG`: expected [\d,]+ bytes.* got [\d,]+") as changed:
        files[1:2]
    with pytest.raises(UserError, match=r"3\.JPEG`: cannot be read: No such file") as missing:
        files[3:4]
    assert not isinstance(changed.value, UndecodableError)
    assert not isinstance(missing.value, UndecodableError)
    with pytest.raises(UserError, match=r"1\.JPEG`: expected"):
        list(files.undecodable())


def test_looking_for_broken_images_is_reported(photos: Path) -> None:
    told: list[tuple[str, int, int]] = []
    assert list(image_files(photos).undecodable(lambda *what: told.append(what))) == []
    assert told == [("decoding photos", 6, 6)]


def test_they_survive_storage_as_tensors_and_json(photos: Path) -> None:
    save(photograph(7), photos / "photos" / "a" / "a long name with ümlaut.jpg")
    files = image_files(photos).at_size(10)
    tensors, description = files.to_tensors()
    again = ImageFiles.from_tensors(tensors, json.loads(json.dumps(description)), photos)
    assert [again.path(i) for i in range(7)] == [files.path(i) for i in range(7)]
    assert b"".join(again.identity()) == b"".join(files.identity())
    assert torch.equal(again[:], files[:])
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"torch.uint8", "torch.int64"}
    assert str(photos) not in json.dumps(description)


def test_what_tells_them_apart_does_not_depend_on_their_place(photos: Path) -> None:
    def identity(files: ImageFiles) -> bytes:
        return b"".join(files.identity())

    files = image_files(photos)
    (photos / "photos").rename(photos / "elsewhere")
    assert identity(image_files(photos, folder="elsewhere")) == identity(files)
    save(photograph(9), photos / "elsewhere" / "a much longer name.JPEG")
    moved = image_files(photos, folder="elsewhere")
    assert identity(moved.take(torch.arange(6))) == identity(files)  # in a wider array
    changes = [
        moved,
        moved.take(torch.tensor([1, 0, 2, 3, 4, 5])),
        files.at_size(10),
        image_files(photos, View(28, 33), "elsewhere").take(torch.arange(6)),
    ]
    assert identity(files) not in [identity(change) for change in changes]
    (photos / "elsewhere" / "2.JPEG").write_bytes(jpeg(2, 90))
    assert identity(image_files(photos, folder="elsewhere").take(torch.arange(6))) != identity(
        files
    )


def test_a_million_names_fit_into_memory() -> None:
    names = np.array([b"n01440764/n01440764_10026.JPEG"]).repeat(1_281_167)
    sizes = np.full(len(names), 100_000, dtype=np.int64)
    files = ImageFiles(Path("/"), "imagenet/train", names, sizes, VIEW)
    assert files.names.nbytes + files.sizes.nbytes < 50e6
    assert files.path(1_281_166) == Path("/imagenet/train/n01440764/n01440764_10026.JPEG")
    tensors, _ = files.to_tensors()
    assert sum(tensor.nbytes for tensor in tensors.values()) < 50e6


def test_threads_that_decode_end_with_their_work() -> None:
    with decoders() as pool:
        pool.submit(int)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
