"""Nothing reaches training that breaks the data set contract or differs from what was planned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from initbench.data.dataset import DataSet, ImageSplits, Remark, Split
from initbench.data.fingerprint import fingerprint
from initbench.data.prepared import from_tensors, load, prepare, to_tensors
from initbench.data.sets.digits import Digits
from initbench.errors import PluginError, UserError
from initbench.plugin.initialiser import Citation, Config
from tests.training.networks import splits


class Stripes(DataSet[Config]):
    name = "stripes"
    summary = "images for a test"
    citation = Citation("nobody")
    licence = "CC0"
    classes = 3
    channels = 1
    native_size = 6
    loaded = splits()
    named: Mapping[str, slice] = MappingProxyType({})

    def parts(self) -> Mapping[str, slice]:
        return self.named

    def load(self, root: Path | None) -> ImageSplits:
        return self.loaded


def _stripes(loaded: ImageSplits) -> Stripes:
    dataset = Stripes(Config())
    dataset.loaded = loaded
    return dataset


def test_digits_come_at_the_size_asked_for() -> None:
    prepared = prepare(Digits(Digits.Config()), 28, None)
    native = Digits(Digits.Config()).load(None)
    for (_, split), (_, original) in zip(prepared.items(), native.items(), strict=True):
        assert split.images.shape == (len(original), 1, 28, 28)
        assert torch.equal(split.labels, original.labels)
        assert torch.equal(split.ids, original.ids)
    assert (prepared.mean, prepared.std) == (native.mean, native.std)


def test_a_changed_file_is_refused_with_both_fingerprints() -> None:
    found = fingerprint(splits())
    with pytest.raises(
        UserError, match=f"`stripes`.* expected fingerprint {'0' * 64}, got {found}"
    ):
        prepare(Stripes(Config()), 6, None, expected="0" * 64)


def test_the_planned_fingerprint_is_accepted() -> None:
    expected = fingerprint(splits())
    prepared = prepare(Stripes(Config()), 6, None, expected=expected)
    assert fingerprint(prepared) == expected


_BASE = splits()
_BROKEN: dict[str, tuple[Callable[[], ImageSplits], str]] = {
    "classes": (lambda: replace(_BASE, classes=4), "declares 3 classes, but loaded 4"),
    "float images": (
        lambda: replace(_BASE, test=replace(_BASE.test, images=_BASE.test.images.float())),
        "images of the split `test` must be uint8 .* got float32",
    ),
    "size": (
        lambda: replace(_BASE, train=replace(_BASE.train, images=_BASE.train.images[..., :5])),
        r"`train` must be uint8 of shape \(images, 1, 6, 6\), got uint8 of shape \(50, 1, 6, 5\)",
    ),
    "empty": (
        lambda: replace(_BASE, validation=Split(*(x[:0] for x in _parts(_BASE.validation)))),
        "the split `validation` is empty",
    ),
    "too few labels": (
        lambda: replace(_BASE, train=replace(_BASE.train, labels=_BASE.train.labels[:-1])),
        r"labels of the split `train` must be int64 of shape \(50,\)",
    ),
    "label range": (
        lambda: replace(_BASE, train=replace(_BASE.train, labels=_BASE.train.labels + 1)),
        r"labels of the split `train` must lie in 0\.\.2, got 1\.\.3",
    ),
    "shared images": (
        lambda: replace(_BASE, validation=_BASE.test),
        "20 image ids appear twice; splits must be disjoint",
    ),
    "mean": (lambda: replace(_BASE, mean=(0.1, 0.2)), "`mean` needs 1 finite numbers"),
    "std": (lambda: replace(_BASE, std=(0.0,)), "`std` must be above 0"),
    "nan": (lambda: replace(_BASE, std=(float("nan"),)), "`std` needs 1 finite numbers"),
}


def _parts(split: Split) -> tuple[torch.Tensor, ...]:
    return split.images, split.labels, split.ids


@pytest.mark.parametrize("name", _BROKEN)
def test_a_broken_data_set_is_named_with_what_is_wrong(name: str) -> None:
    loaded, message = _BROKEN[name]
    with pytest.raises(PluginError, match="data set `stripes` broke its contract: ") as error:
        load(_stripes(loaded()), None)
    assert re.search(message, str(error.value))


@pytest.mark.parametrize("part", [slice(0, 21), slice(-3, 20), slice(5, 5), slice(0, 20, 2)])
def test_a_part_that_is_not_one_of_the_test_images_is_refused(part: slice) -> None:
    dataset = _stripes(_BASE)
    dataset.named = {"whole": slice(0, 20), "some": part}
    with pytest.raises(PluginError, match="`some` must be a slice of the 20 test images"):
        load(dataset, None)


def test_splits_survive_storage_as_tensors_and_json() -> None:
    base = replace(splits(channels=3), remarks=(Remark("made here", "for a test"),))
    tensors, description = to_tensors(base)
    assert all(tensor.is_contiguous() for tensor in tensors.values())
    again = from_tensors(tensors, json.loads(json.dumps(description)), None)
    assert fingerprint(again) == fingerprint(base)
    assert again.remarks == base.remarks


def test_images_that_are_declared_as_streamed_must_be_in_files() -> None:
    class Streamed(Stripes):
        streamed = True

    with pytest.raises(PluginError, match="must be `ImageFiles`, as it declares `streamed`"):
        load(Streamed(Config()), None)
