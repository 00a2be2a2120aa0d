"""Identification: fingerprints are remembered until a file changes, and marks follow the files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from initbench.data.dataset import ImageSplits, Remark, Split, SplitName
from initbench.data.files import DataFile, Report
from initbench.data.fingerprint import fingerprint
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.data.identify import identify, remarked
from initbench.data.sets.digits import FINGERPRINT, Digits
from initbench.errors import UserError
from initbench.plugin.initialiser import Citation

OFFICIAL = bytes(range(240))
TREE = {"name": "bytes"}


class Bytes(FileDataSet[FilesConfig]):
    """Fifteen images of 4 x 4 pixels from a file of 240 bytes."""

    name = "bytes"
    summary = "a test"
    citation = Citation("Nobody, 2026")
    licence = "CC0"
    classes = 3
    channels = 1
    native_size = 4
    loads = 0
    made = 0
    pinned: str | None = None
    digest = f"sha256:{hashlib.sha256(OFFICIAL).hexdigest()}"
    remarks: tuple[Remark, ...] = ()

    def files(self) -> tuple[DataFile, ...]:
        return (DataFile("bytes.bin", (self.digest,)),)

    def pinned_fingerprint(self) -> str | None:
        return self.pinned

    def make(self, root: Path, report: Report) -> None:
        type(self).made += 1

    def load(self, root: Path | None) -> ImageSplits:
        type(self).loads += 1
        content = self.open_files(root)["bytes.bin"].read_bytes()
        images = torch.tensor(list(content), dtype=torch.uint8).view(15, 1, 4, 4)
        labels, ids = torch.arange(15) % 3, torch.arange(15)

        def part(begin: int, end: int) -> Split:
            return Split(images[begin:end], labels[begin:end], ids[begin:end])

        splits = ImageSplits(part(0, 6), part(6, 9), part(9, 15), 3, (0.5,), (0.5,))
        return replace(splits, remarks=self.remarks)


@pytest.fixture
def kind() -> type[Bytes]:
    """A class of its own for each test, because it counts."""

    class Counted(Bytes):
        loads = 0

    return Counted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "bytes.bin").write_bytes(OFFICIAL)
    return tmp_path


def test_official_files_need_no_mark(kind: type[Bytes], root: Path) -> None:
    known = identify(kind(FilesConfig()), TREE, root)
    assert known.remarks == ()
    assert known.sizes == {"train": 6, "validation": 3, "test": 6}
    assert known.fingerprint == fingerprint(kind(FilesConfig()).load(root))


def test_a_fingerprint_is_computed_once(kind: type[Bytes], root: Path) -> None:
    first = identify(kind(FilesConfig()), TREE, root)
    assert identify(kind(FilesConfig()), TREE, root) == first
    assert kind.loads == 1


def test_another_configuration_or_code_is_another_fingerprint(
    kind: type[Bytes], root: Path
) -> None:
    identify(kind(FilesConfig()), TREE, root)
    identify(kind(FilesConfig()), {**TREE, "code": "2"}, root)
    assert kind.loads == 2


def test_a_changed_file_is_read_again_and_marked(kind: type[Bytes], root: Path) -> None:
    first = identify(kind(FilesConfig()), TREE, root)
    (root / "bytes.bin").write_bytes(bytes(reversed(OFFICIAL)))
    second = identify(kind(FilesConfig()), TREE, root)
    assert second.fingerprint != first.fingerprint
    assert [remark.mark for remark in second.remarks] == ["unofficial data"]
    assert "`bytes.bin` differs" in second.remarks[0].reason


def test_images_known_bit_for_bit_are_official_in_whatever_file_they_come(
    kind: type[Bytes], root: Path
) -> None:
    kind.digest = "md5:00000000000000000000000000000000"
    unknown = identify(kind(FilesConfig()), TREE, root)
    assert unknown.remarks
    kind.pinned = unknown.fingerprint
    assert identify(kind(FilesConfig()), TREE, root).remarks == ()


def test_remarks_of_the_images_are_kept_and_remembered(kind: type[Bytes], root: Path) -> None:
    kind.remarks = (Remark("made here", "by a test"),)
    for _ in range(2):
        assert identify(kind(FilesConfig()), TREE, root).remarks == kind.remarks
    assert kind.loads == 1


def test_prepared_splits_carry_the_same_remarks(kind: type[Bytes], root: Path) -> None:
    (root / "bytes.bin").write_bytes(bytes(reversed(OFFICIAL)))
    kind.remarks = (Remark("made here", "by a test"),)
    dataset = kind(FilesConfig())
    known = identify(dataset, TREE, root)
    splits = remarked(dataset, dataset.load(root), known.fingerprint, root)
    assert splits.remarks == known.remarks
    assert len(splits.remarks) == 2


def test_missing_files_are_made_first(kind: type[Bytes], tmp_path: Path) -> None:
    class Maker(kind):  # type: ignore[valid-type, misc]
        def make(self, root: Path, report: Report) -> None:
            (root / "bytes.bin").write_bytes(OFFICIAL)
            report("bytes", 1, 1)

    told: list[str] = []
    known = identify(
        Maker(FilesConfig()), TREE, tmp_path, lambda what, done, total: told.append(what)
    )
    assert known.remarks == ()
    assert "bytes" in told


def test_a_missing_file_is_named(kind: type[Bytes], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bytes\.bin"):
        identify(kind(FilesConfig()), TREE, tmp_path)


def test_without_a_data_folder_only_embedded_data_are_known(kind: type[Bytes]) -> None:
    with pytest.raises(UserError, match="INITBENCH_DATA"):
        identify(kind(FilesConfig()), TREE, None)


def test_embedded_data_are_known_without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Digits, root: Path | None) -> ImageSplits:
        raise AssertionError("loaded")

    monkeypatch.setattr(Digits, "load", refuse)
    known = identify(Digits(Digits.Config()), {"name": "digits"}, None)
    assert known.fingerprint == FINGERPRINT
    sizes: Mapping[SplitName, int] = {"train": 1197, "validation": 300, "test": 300}
    assert known.sizes == sizes


def test_a_folder_is_watched_for_new_and_removed_files(tmp_path: Path) -> None:
    class Folder(Bytes):
        loads = 0

        def files(self) -> tuple[DataFile, ...]:
            return (DataFile("images"),)

        def open_files(self, root: Path | None) -> dict[str, Path]:
            paths = super().open_files(root)
            return {"bytes.bin": paths["images"] / "a" / "bytes.bin"}

    inner = tmp_path / "images" / "a"
    inner.mkdir(parents=True)
    (inner / "bytes.bin").write_bytes(OFFICIAL)
    identify(Folder(FilesConfig()), TREE, tmp_path)
    identify(Folder(FilesConfig()), TREE, tmp_path)
    assert Folder.loads == 1
    (inner / "another").touch()
    identify(Folder(FilesConfig()), TREE, tmp_path)
    assert Folder.loads == 2


def test_what_would_not_fit_into_memory_is_refused_before_it_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Huge(Bytes):
        def split_sizes(self) -> Mapping[SplitName, int]:
            return {"train": 10**12, "validation": 3, "test": 6}

        def load(self, root: Path | None) -> ImageSplits:
            raise AssertionError("read")

    with pytest.raises(
        UserError, match=r"data set `bytes` needs .* of memory while it is prepared"
    ):
        identify(Huge(FilesConfig()), TREE, root)


def test_what_is_about_to_be_read_is_announced(root: Path) -> None:
    class Sized(Bytes):
        loads = 0

        def split_sizes(self) -> Mapping[SplitName, int]:
            return {"train": 6, "validation": 3, "test": 6}

    told: list[tuple[str, int]] = []
    for _ in range(2):
        identify(
            Sized(FilesConfig()), TREE, root, lambda what, done, total: told.append((what, total))
        )
    announced = [what for what, total in told if total == 0]
    assert announced == ["reading bytes: 15 images, 0 MB"]
