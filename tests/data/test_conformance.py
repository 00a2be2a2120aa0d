"""Conformance: what a third party's data set may get wrong is found and said."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from initbench.data.conformance import check_dataset
from initbench.data.dataset import DataSet, ImageSplits, Split, SplitName
from initbench.data.files import DataFile, Download
from initbench.data.sets.digits import Digits
from initbench.plugin.initialiser import Citation, Config


class Good(DataSet[Config]):
    """Thirty images of three classes."""

    name = "good"
    summary = "noise of three brightnesses"
    citation = Citation("Nobody, 2026")
    licence = "CC0"
    classes = 3
    channels = 1
    native_size = 4

    def load(self, root: Path | None) -> ImageSplits:
        labels = torch.arange(30) % 3
        images = (labels[:, None, None, None] * 80).expand(30, 1, 4, 4).to(torch.uint8)
        ids = torch.arange(30)

        def part(begin: int, end: int) -> Split:
            return Split(images[begin:end], labels[begin:end], ids[begin:end])

        return ImageSplits(part(0, 12), part(12, 21), part(21, 30), 3, (0.3,), (0.2,))


def findings(dataset: type[DataSet[Config]]) -> str:
    return "; ".join(check_dataset(dataset(Config())))


@pytest.mark.parametrize("dataset", [Good, Digits])
def test_a_good_data_set_conforms(dataset: type[DataSet[Config]]) -> None:
    assert findings(dataset) == ""


def test_splits_drawn_anew_each_time_are_found() -> None:
    times_loaded = itertools.count()

    class Restless(Good):
        def load(self, root: Path | None) -> ImageSplits:
            splits = super().load(root)
            moved = splits.train.ids.roll(next(times_loaded))
            return replace(splits, train=replace(splits.train, ids=moved))

    assert "it loads other images, labels or splits each time" in findings(Restless)


def test_drawing_from_the_global_generator_is_found() -> None:
    class Greedy(Good):
        def load(self, root: Path | None) -> ImageSplits:
            torch.rand(1)
            return super().load(root)

    assert "`load` " in findings(Greedy)
    assert "torch" in findings(Greedy)


def test_shared_images_are_found() -> None:
    class Leaky(Good):
        def load(self, root: Path | None) -> ImageSplits:
            splits = super().load(root)
            return replace(splits, test=splits.validation)

    assert "splits must be disjoint" in findings(Leaky)


def test_wrong_sizes_are_found() -> None:
    class Boastful(Good):
        def split_sizes(self) -> Mapping[SplitName, int]:
            return {"train": 50_000, "validation": 9, "test": 9}

    assert "`split_sizes` says {'train': 50000" in findings(Boastful)


def test_a_split_that_lacks_a_class_is_found() -> None:
    class Sorted(Good):
        def load(self, root: Path | None) -> ImageSplits:
            splits = super().load(root)
            same = torch.zeros_like(splits.test.labels)
            return replace(splits, test=replace(splits.test, labels=same))

    assert findings(Sorted) == "the split `test` has images of 1 of the 3 classes only"


def test_files_outside_the_data_folder_and_plain_http_are_found() -> None:
    class Careless(Good):
        def files(self) -> tuple[DataFile, ...]:
            return (DataFile("a.bin", alternatives=(DataFile("../b.bin"),)), DataFile("/c.bin"))

        def downloads(self) -> tuple[Download, ...]:
            return (Download(("http://example.org/a",), "a.bin", "md5:0"),)

    found = findings(Careless)
    assert "`../b.bin`, which is not inside the data folder" in found
    assert "`/c.bin`, which is not inside the data folder" in found
    assert "`http://example.org/a`, which is not https" in found


def test_an_unstated_licence_is_found() -> None:
    class Unlicensed(Good):
        licence = ""

    assert "expected the attribute `licence`" in findings(Unlicensed)


def test_an_error_is_a_finding() -> None:
    class Broken(Good):
        def load(self, root: Path | None) -> ImageSplits:
            raise ZeroDivisionError("nothing to divide")

    assert "nothing to divide" in findings(Broken)
