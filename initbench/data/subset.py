"""Subsets: a data set with fewer images, for profiles that only have to show that all works.

`subset: {train: 1000, test: 500}` is a key that every data set has. The images are drawn at random
with a fixed seed, so that a smaller subset is part of a larger one. Where the test split has named
parts (the corruptions of CIFAR-10-C), the number is that of each part, and the same images are
drawn from all of them. Numbers on a subset are marked wherever they appear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from initbench.data.dataset import DataSet, ImageSplits, Remark, Split, SplitName
from initbench.data.files import DataFile, Download, Report
from initbench.data.splits import SPLIT_SEED
from initbench.errors import UserError
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    import torch

KEY = "subset"
"""Of the configuration of every data set."""

_OF_THE_WHOLE = (
    "name",
    "summary",
    "citation",
    "licence",
    "classes",
    "channels",
    "native_size",
    "how_to_get",
    "streamed",
    "version",
    "api_version",
    "config",
)

Count = Annotated[int | None, Field(ge=1, description="images, all if left out")]


class SubsetConfig(Config):
    """How many images of each split; with named parts, of each part of the test split."""

    train: Count = None
    validation: Count = None
    test: Count = None


class Subset(DataSet[Any]):
    """Some of the images of another data set, which is `whole`."""

    def __init__(self, whole: DataSet[Any], sizes: SubsetConfig) -> None:
        self.whole = whole
        self.sizes: Mapping[SplitName, int | None] = {
            "train": sizes.train,
            "validation": sizes.validation,
            "test": sizes.test,
        }
        # What the contract has as attributes of the class; this class stands for many.
        for attribute in _OF_THE_WHOLE:
            setattr(self, attribute, getattr(whole, attribute))

    def split_sizes(self) -> Mapping[SplitName, int] | None:
        """Return how many images each split has, where those of the whole are known."""
        whole = self.whole.split_sizes()
        if whole is None:
            return None
        parts = max(len(self.whole.parts()), 1)
        return {name: self._size(name, count, parts) for name, count in whole.items()}

    def parts(self) -> Mapping[str, slice]:
        """Return named parts of the test split."""
        whole, size = self.whole.parts(), self.sizes["test"]
        if size is None:
            return whole
        return {name: slice(size * i, size * (i + 1)) for i, name in enumerate(whole)}

    def files(self) -> tuple[DataFile, ...]:
        """Return what `load` reads below the data folder."""
        return self.whole.files()

    def downloads(self) -> tuple[Download, ...]:
        """Return the downloads that provide the files."""
        return self.whole.downloads()

    def make(self, root: Path, report: Report) -> None:
        """Make files that are missing, from others that are there."""
        self.whole.make(root, report)

    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits of the whole, and draw from them; errors as for the whole.

        Raises UserError also where a split has fewer images than asked for.
        """
        splits = self.whole.load(root)
        return replace(
            splits,
            train=self._drawn("train", splits.train),
            validation=self._drawn("validation", splits.validation),
            test=self._drawn("test", splits.test),
            remarks=(*splits.remarks, *self._remarks()),
        )

    def _size(self, name: SplitName, whole: int, parts: int) -> int:
        size = self.sizes[name]
        if size is None:
            return whole
        return size * parts if name == "test" else size

    def _drawn(self, name: SplitName, split: Split) -> Split:
        size = self.sizes[name]
        if size is None:
            return split
        parts = list(self.whole.parts().values()) if name == "test" else []
        starts = [part.start for part in parts] or [0]
        length = min((part.stop - part.start for part in parts), default=len(split))
        if size > length:
            raise UserError(
                f"data set `{self.whole.name}`: `subset.{name}` is {size:,}, expected at most "
                f"{length:,}, the images there are" + (" in each part" if parts else "")
            )
        return _taken(split, _positions(size, length, starts))

    def _remarks(self) -> Iterator[Remark]:
        taken = [f"{size:,} {name} images" for name, size in self.sizes.items() if size is not None]
        if taken:
            yield Remark("subset", f"only {', '.join(taken)}, drawn at random")


def _positions(size: int, length: int, starts: list[int]) -> torch.Tensor:
    """Return `size` of `length` positions, rising, counted from each of `starts`."""
    import torch

    order = torch.randperm(length, generator=torch.Generator().manual_seed(SPLIT_SEED))
    chosen = order[:size].sort().values
    return torch.cat([start + chosen for start in starts])


def _taken(split: Split, positions: torch.Tensor) -> Split:
    from initbench.data.image_files import ImageFiles

    images = split.images
    taken = images.take(positions) if isinstance(images, ImageFiles) else images[positions]
    return Split(taken, split.labels[positions], split.ids[positions])
