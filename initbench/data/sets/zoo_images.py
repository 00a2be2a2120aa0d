"""Image data of the model zoos: what MNIST, USPS, SVHN and STL-10 have in common.

K. Schürholt, B. Knyazev, X. Giró-i-Nieto, D. Borth: Hyper-Representations for Pre-Training and
Transfer Learning, 2022 (arXiv 2207.10951), and the scripts that the authors published with their
zoos: the official training images are split at random (seed 42) into training and validation
images, the official test images are left alone, and pixels are normalised with one mean and one
deviation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from initbench.data.dataset import ImageSplits, Split, SplitName
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.data.formats.refusal import refusal
from initbench.data.splits import random_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Part = Literal["train", "test"]
"""What the files are divided into; the validation images are among those of `train`."""


class ZooImagesConfig(FilesConfig):
    """Where the files are and which published split to use."""

    split: Annotated[
        Literal["schuerholt2022"], Field(description="the paper whose split it is")
    ] = "schuerholt2022"


ZooImagesConfigT = TypeVar("ZooImagesConfigT", bound=ZooImagesConfig)


class ZooImages(FileDataSet[ZooImagesConfigT]):
    """A data set with official training and test files, split as for the model zoos."""

    sizes: ClassVar[tuple[int, int, int]]
    """How many images train, validate and test; the files must hold exactly these."""
    mean: ClassVar[float]
    std: ClassVar[float]

    @abstractmethod
    def read(
        self, paths: Mapping[str, Path], part: Part, count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return images (images, channels, height, width) and labels from 0, as in the files.

        Raises UserError where the files do not hold `count` images with labels of known classes.
        """

    def split_sizes(self) -> Mapping[SplitName, int]:
        """Return how many images each split has."""
        train, validation, test = self.sizes
        return {"train": train, "validation": validation, "test": test}

    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits at native size; ids count the training file first, then the test file.

        Raises UserError where a file is missing, truncated or not what its name says.
        """
        paths = self.open_files(root)
        train, validation = self._training_splits(paths)
        test = self._whole(paths, "test", self.sizes[2], first_id=len(train) + len(validation))
        return ImageSplits(
            train,
            validation,
            test,
            self.classes,
            (self.mean,) * self.channels,
            (self.std,) * self.channels,
        )

    def _training_splits(self, paths: Mapping[str, Path]) -> list[Split]:
        sizes = self.sizes[:2]
        pool = self._whole(paths, "train", sum(sizes), first_id=0)
        return [
            Split(pool.images[chosen], pool.labels[chosen], chosen)
            for chosen in random_split(len(pool), sizes)
        ]

    def _whole(self, paths: Mapping[str, Path], part: Part, count: int, first_id: int) -> Split:
        import torch

        images, labels = (torch.from_numpy(array) for array in self.read(paths, part, count))
        return Split(images, labels, torch.arange(first_id, first_id + count))


def labels_from(values: NDArray[np.generic], allowed: range, path: Path) -> NDArray[np.int64]:
    """Return the labels of a file as integers, still counted as the file counts them.

    Raises UserError that names the first one outside `allowed`.
    """
    import numpy as np

    wrong = ~np.isin(values, np.array(allowed))
    if wrong.any():
        image = int(wrong.argmax())
        raise refusal(
            path, f"labels {allowed[0]}..{allowed[-1]}", f"{values[image]} for image {image + 1:,}"
        )
    return values.astype(np.int64)
