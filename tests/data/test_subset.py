"""A subset is some of the images of another data set: the same for everybody, and marked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.api import Citation, Config, DataSet, ImageSplits, Split
from initbench.data.fingerprint import fingerprint
from initbench.data.identify import identify
from initbench.data.prepared import load
from initbench.data.subset import Subset, SubsetConfig
from initbench.errors import UserError
from initbench.plugin.registry import Registry


class Corrupted(DataSet[Config]):
    """Twenty test images in three versions each: image i of version v has pixels 20 v + i."""

    name = "corrupted"
    summary = "a test"
    citation = Citation("Nobody, 2026")
    licence = "MIT"
    classes = 2
    channels = 1
    native_size = 2
    version = "1"

    def split_sizes(self) -> Mapping[Any, int]:
        return {"train": 30, "validation": 10, "test": 60}

    def parts(self) -> Mapping[str, slice]:
        return {name: slice(20 * i, 20 * (i + 1)) for i, name in enumerate(("fog", "snow", "rain"))}

    def load(self, root: Path | None) -> ImageSplits:
        def split(first: int, count: int) -> Split:
            numbers = torch.arange(count)
            images = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
            return Split(images, numbers % 2, first + numbers)

        return ImageSplits(split(0, 30), split(30, 10), split(40, 60), 2, (0.0,), (1.0,))


def subset(**sizes: int) -> Subset:
    return Subset(Corrupted(Config()), SubsetConfig(**sizes))


def numbers(split: Split) -> list[int]:
    return [int(image[0, 0, 0]) for image in split.images[:]]


def test_a_subset_keeps_the_contract_of_data_sets() -> None:
    first, again = (load(subset(train=5, validation=3, test=4), None) for _ in range(2))
    assert fingerprint(first) == fingerprint(again)


def test_a_split_that_is_not_named_stays_whole() -> None:
    splits = subset(train=5).load(None)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (5, 10, 60)


def test_sizes_are_known_before_loading() -> None:
    chosen = subset(train=5, test=4)
    splits = chosen.load(None)
    assert chosen.split_sizes() == {name: len(split) for name, split in splits.items()}
    assert chosen.split_sizes() == {"train": 5, "validation": 10, "test": 12}


def test_a_smaller_subset_is_part_of_a_larger_one() -> None:
    small, large = subset(train=5).load(None).train, subset(train=12).load(None).train
    assert set(small.ids.tolist()) < set(large.ids.tolist())
    assert numbers(small) == small.ids.tolist() == sorted(small.ids.tolist())


def test_the_same_images_are_drawn_from_every_part() -> None:
    chosen = subset(test=4)
    drawn = numbers(chosen.load(None).test)
    versions = {name: drawn[part] for name, part in chosen.parts().items()}
    assert versions["snow"] == [20 + i for i in versions["fog"]]
    assert versions["rain"] == [40 + i for i in versions["fog"]]
    assert len(set(versions["fog"])) == 4
    assert max(versions["fog"]) < 20


def test_more_images_than_there_are_is_refused_with_the_number_there_is() -> None:
    with pytest.raises(UserError, match=r"subset.train` is 31, expected at most 30"):
        subset(train=31).load(None)
    with pytest.raises(UserError, match="at most 20, the images there are in each part"):
        subset(test=21).load(None)


def test_a_subset_is_marked() -> None:
    known = identify(subset(train=5, test=2), {}, None)
    assert [str(remark) for remark in known.remarks] == [
        "subset: only 5 train images, 2 test images, drawn at random"
    ]


def test_every_data_set_has_the_key_and_it_is_part_of_its_identity() -> None:
    registry = Registry.installed()
    whole = registry.dataset("digits")
    some = registry.dataset("digits", {"subset": {"train": 100}})
    assert some.reference.config["subset"] == {"train": 100, "validation": None, "test": None}
    assert whole.reference.tree() != some.reference.tree()
    again = registry.dataset("digits", some.reference.config)
    assert again.reference.tree() == some.reference.tree()
    splits = some.thing.load(None)
    assert len(splits.train) == 100


@pytest.mark.parametrize("given", [5, {"train": 0}, {"trian": 5}, {"train": "many"}])
def test_what_is_no_subset_is_refused_by_name(given: object) -> None:
    with pytest.raises(UserError, match="subset"):
        Registry.installed().dataset("digits", {"subset": given})
