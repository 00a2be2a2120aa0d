"""CIFAR-10-C pools the corruptions of one severity, from the official files or from made ones."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from initbench.data.corruptions import catalogue
from initbench.data.dataset import ImageSplits
from initbench.data.files import silent
from initbench.data.folder.verify import FileState, remarks, verify
from initbench.data.prepared import load
from initbench.data.sets.cifar10 import CIFAR10, CIFAR10Config
from initbench.data.sets.cifar10c import ALL, CIFAR10C, DIGESTS, EXTRA, MAIN, PHOTOGRAPHS
from initbench.errors import UserError
from initbench.plugin.configuration import configured
from initbench.plugin.contract import violations
from initbench.plugin.hooks import Kind
from tests.data.official_cifar10 import write_cifar10

COUNT = 20  # images of a file
TWO = ["fog", "contrast"]


class SmallCIFAR10(CIFAR10):
    images_per_file = COUNT
    held_out = {"harder2023": 10, "schuerholt2022": 16, "knyazev2022": 20}


class SmallCIFAR10C(CIFAR10C):
    clean = SmallCIFAR10


def small(**config: Any) -> SmallCIFAR10C:
    return SmallCIFAR10C(
        configured("data set `cifar10c`", CIFAR10C.Config, {"corruptions": TWO, **config})
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder that holds CIFAR-10."""
    write_cifar10(tmp_path, COUNT)
    return tmp_path


def write_official(root: Path, *names: str) -> dict[str, np.ndarray]:
    """Write files in the official layout, of random bytes; return them by name."""
    folder = root / "CIFAR-10-C"
    folder.mkdir(exist_ok=True)
    test = SmallCIFAR10(CIFAR10Config()).load(root).test
    np.save(folder / "labels.npy", np.tile(test.labels.numpy().astype(np.uint8), 5))
    random = np.random.default_rng(5)
    arrays = {x: random.integers(0, 256, (5 * COUNT, 32, 32, 3), dtype=np.uint8) for x in names}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return arrays


def read(dataset: CIFAR10C, root: Path) -> ImageSplits:
    dataset.make(root, silent)
    return load(dataset, root)


def marks(splits: ImageSplits) -> list[str]:
    return [remark.mark for remark in splits.remarks]


# --- declaration --------------------------------------------------------------------------------


def test_the_declaration_keeps_the_contract() -> None:
    assert list(violations(Kind.DATASET, "cifar10c", CIFAR10C)) == []


def test_names_are_those_of_the_catalogue_in_official_order() -> None:
    assert tuple(catalogue.CORRUPTIONS) == ALL
    assert tuple(x.name for x in catalogue.CORRUPTIONS.values() if x.main) == MAIN
    assert set(DIGESTS) == set(ALL)
    assert (len(MAIN), len(EXTRA)) == (15, 4)


@pytest.mark.parametrize(
    ("corruptions", "count"), [("main", 15), ("all", 19), ("extra", 4), (["fog"], 1)]
)
def test_sizes_are_the_published_ones(corruptions: Any, count: int) -> None:
    dataset = CIFAR10C(configured("cifar10c", CIFAR10C.Config, {"corruptions": corruptions}))
    sizes = {"train": 45_000, "validation": 5_000, "test": count * 10_000}
    assert dataset.split_sizes() == sizes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"severity": 0}, "severity"),
        ({"severity": 6}, "severity"),
        ({"corruptions": ["fogg"]}, "fogg"),
        ({"corruptions": []}, "at least one name"),
        ({"corruptions": ["fog", "fog"]}, "only once"),
        ({"files": "mine"}, "files"),
        ({"folder": "/etc"}, "inside the data folder"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        configured("data set `cifar10c`", CIFAR10C.Config, config)


def test_official_files_have_the_published_digests() -> None:
    files = {file.path: file.digests for file in small(corruptions="all").files()}
    assert files["CIFAR-10-C/labels.npy"] == ("md5:c439b113295ed5254878798ffe28fd54",)
    assert files["CIFAR-10-C/fog.npy"] == ("md5:7b397314b5670f825465fbcd1f6e9ccd",)
    assert len(files) == 6 + 1 + 19


def test_archives_come_from_zenodo_unless_files_are_to_be_made() -> None:
    official = small().downloads()[-1]
    assert official.urls == ("https://zenodo.org/records/2535967/files/CIFAR-10-C.tar",)
    assert official.digest == "md5:56bf5dcef84df0e2308c6dcbcbbd8499"
    assert small(files="made").downloads() == SmallCIFAR10(CIFAR10Config()).downloads()


# --- official files -----------------------------------------------------------------------------


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_test_images_are_pooled_in_official_order(root: Path, severity: int) -> None:
    arrays = write_official(root, *TWO, "snow")
    splits = read(small(severity=severity), root)
    clean = SmallCIFAR10(CIFAR10Config()).load(root)
    rows = slice((severity - 1) * COUNT, severity * COUNT)
    pooled = np.concatenate([arrays["fog"][rows], arrays["contrast"][rows]])
    assert np.array_equal(splits.test.images[:].permute(0, 2, 3, 1).numpy(), pooled)
    assert torch.equal(splits.test.labels, clean.test.labels.repeat(2))
    assert torch.equal(splits.train.images[:], clean.train.images[:])
    assert torch.equal(splits.validation.ids, clean.validation.ids)
    assert (splits.mean, splits.std) == ((0.0,) * 3, (1.0,) * 3)


def test_each_corruption_is_a_named_part_of_the_test_images(root: Path) -> None:
    arrays = write_official(root, *TWO)
    dataset = small(severity=4)
    splits = read(dataset, root)
    assert list(dataset.parts()) == list(dataset.names)
    rows = slice(3 * COUNT, 4 * COUNT)
    for name, part in dataset.parts().items():
        images = splits.test.images[part].permute(0, 2, 3, 1).numpy()
        assert np.array_equal(images, arrays[name][rows])


def test_ids_tell_corruption_severity_and_image(root: Path) -> None:
    write_official(root, *TWO)
    splits = read(small(severity=2), root)
    first = [6 * COUNT + 5 * COUNT * ALL.index(name) + COUNT for name in ("fog", "contrast")]
    assert splits.test.ids.tolist() == [start + i for start in first for i in range(COUNT)]


def test_official_files_of_all_corruptions_are_preferred_and_carry_no_remark(root: Path) -> None:
    write_official(root, *TWO)
    assert marks(read(small(), root)) == []
    assert not (root / "cifar10c-regen").exists()


def test_official_files_of_some_corruptions_are_not_mixed_with_made_ones(root: Path) -> None:
    write_official(root, "fog")
    made = read(small(), root)
    assert marks(made) == ["made here"]
    assert torch.equal(made.test.images[:], read(small(files="made"), root).test.images[:])


def test_official_files_are_used_though_made_ones_are_there(root: Path) -> None:
    made = read(small(), root)
    write_official(root, *TWO)
    assert not torch.equal(read(small(), root).test.images[:], made.test.images[:])
    assert torch.equal(read(small(files="made"), root).test.images[:], made.test.images[:])


def test_missing_official_files_are_named_with_what_to_do(root: Path) -> None:
    write_official(root, "fog")
    with pytest.raises(UserError) as error:
        read(small(files="official"), root)
    assert str(root / "CIFAR-10-C" / "contrast.npy") in str(error.value)
    assert "fog.npy" not in str(error.value)
    assert "initbench data fetch cifar10c" in str(error.value)
    with pytest.raises(UserError, match="contrast"):
        small().load(root)


def _pickled(_: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return content.getvalue()


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        lambda array: _npy(array)[:-1],
        lambda array: _npy(array)[:60],
        lambda _: b"",
        lambda _: b"<html>404</html>",
        lambda array: _npy(array[:-1]),
        lambda array: _npy(array.astype(np.float32)),
        lambda array: _npy(array.transpose(0, 3, 1, 2)),
        _pickled,
    ],
    ids=["short", "header", "empty", "html", "rows", "floats", "channels", "pickle"],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(root: Path, content: Any) -> None:
    arrays = write_official(root, *TWO)
    path = root / "CIFAR-10-C" / "contrast.npy"
    path.write_bytes(content(arrays["contrast"]))
    with pytest.raises(UserError) as error:
        read(small(), root)
    assert str(path) in str(error.value)
    assert "expected an `.npy` file of uint8 (100, 32, 32, 3), got " in str(error.value)


def test_labels_of_other_images_are_refused(root: Path) -> None:
    write_official(root, *TWO)
    path = root / "CIFAR-10-C" / "labels.npy"
    np.save(path, np.roll(np.load(path), 1))
    with pytest.raises(UserError, match=r"labels\.npy: expected the labels of the test images"):
        read(small(), root)


# --- made files ---------------------------------------------------------------------------------


def test_made_files_are_the_corrupted_test_images(root: Path) -> None:
    splits = read(small(corruptions=["contrast", "pixelate"], severity=4), root)
    clean = SmallCIFAR10(CIFAR10Config()).load(root).test.images[:].permute(0, 2, 3, 1).numpy()
    draws = np.random.RandomState(0)  # of which these two corruptions make no use
    for half, name in zip(
        splits.test.images[:].split(COUNT), ("contrast", "pixelate"), strict=True
    ):
        expected = catalogue.corrupt(clean, name, 4, draws)
        assert np.array_equal(half.permute(0, 2, 3, 1).numpy(), expected)


def test_only_what_is_missing_is_made(root: Path) -> None:
    read(small(corruptions=["fog"]), root)
    folder = root / "cifar10c-regen"
    before = (folder / "fog.npy").stat().st_mtime_ns
    read(small(), root)
    assert (folder / "fog.npy").stat().st_mtime_ns == before
    assert sorted(path.stem for path in folder.glob("*.npy")) == ["contrast", "fog", "labels"]


def test_made_files_carry_their_own_remark_and_no_other(root: Path) -> None:
    dataset = small()
    splits = read(dataset, root)
    assert marks(splits) == ["made here"]
    made = [verdict for verdict in verify(dataset, root) if verdict.state is FileState.MADE]
    assert len(made) == 3
    assert remarks(made) == ()


def test_frost_without_photographs_is_marked_as_a_substitute(root: Path) -> None:
    assert marks(read(small(corruptions=["frost"]), root)) == ["made here", "substitute"]


def test_frost_with_photographs_is_not(root: Path) -> None:
    for path in PHOTOGRAPHS:
        (root / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (300, 200), (0, 90, 200)).save(root / path)
    assert marks(read(small(corruptions=["frost"]), root)) == ["made here"]


def test_some_photographs_without_the_others_are_refused(root: Path) -> None:
    (root / "frost").mkdir()
    (root / PHOTOGRAPHS[0]).write_bytes(b"")
    with pytest.raises(UserError, match=r"frost2\.png is missing: expected all 5 .*got 1"):
        read(small(corruptions=["frost"]), root)


def test_a_made_file_that_changed_since_is_refused(root: Path) -> None:
    read(small(), root)
    path = root / "cifar10c-regen" / "fog.npy"
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(UserError, match=r"fog\.npy`: severity 5 is not what was made.*delete"):
        load(small(severity=5), root)
    load(small(severity=4), root)


def test_made_files_of_other_test_images_are_refused(root: Path) -> None:
    read(small(), root)
    shutil.rmtree(root / "cifar-10-batches-py")
    write_cifar10(root, COUNT)
    batches = root / "cifar-10-batches-py"
    content = bytearray((batches / "test_batch").read_bytes())
    middle = len(content) // 2
    content[middle] ^= 1
    (batches / "test_batch").write_bytes(content)
    for use in (small().load, lambda root: small().make(root, silent)):
        with pytest.raises(UserError, match=r"made from other test images.*move the folder away"):
            use(root)


def test_made_files_without_their_description_are_refused(root: Path) -> None:
    read(small(), root)
    (root / "cifar10c-regen" / "made.json").unlink()
    with pytest.raises(UserError, match="was not made here"):
        small().load(root)


def test_another_folder_has_files_of_its_own(root: Path) -> None:
    write_cifar10(root / "copy", COUNT)
    read(small(folder="copy"), root)
    assert (root / "copy" / "cifar10c-regen" / "fog.npy").is_file()
    assert not (root / "cifar10c-regen").exists()


def test_without_cifar10_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cifar-10-batches-py/test_batch"):
        small().make(tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_without_a_data_folder_it_says_so() -> None:
    with pytest.raises(UserError, match="INITBENCH_DATA"):
        small().load(None)


def test_examples_show_the_first_images_clean_and_in_all_severities(root: Path) -> None:
    arrays = write_official(root, *TWO)
    clean = SmallCIFAR10(CIFAR10Config()).load(root).test.images[:3].permute(0, 2, 3, 1).numpy()
    examples = dict(small().examples(root, 3))
    assert list(examples) == ["fog", "contrast"]
    for name, variants in examples.items():
        assert variants.shape == (6, 3, 32, 32, 3)
        assert np.array_equal(variants[0], clean)
        for s in range(5):
            assert np.array_equal(variants[s + 1], arrays[name][s * COUNT :][:3])
