"""CIFAR-10: 60,000 colour photographs of ten classes, in the splits of three papers.

The files are the Python batches of A. Krizhevsky. Ids count the training batches first, then the
test batch. All splits leave the test images alone and take validation images from the training
images:

* `harder2023` (Harder et al., 2023, arXiv 2310.16695): 45,000 and 5,000 at random, seed 42;
  pixels are not normalised.
* `schuerholt2022` (Schürholt et al., 2022, as in `zoo_images`): 42,000 and 8,000 at random, seed
  42; pixels from -1 to 1.
* `knyazev2022` (Knyazev, 2022, arXiv 2207.10049): the last 5,000 validate, and the first 100
  images of each class among the others are the 1,000 that train; pixels normalised by channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from initbench.data.dataset import ImageSplits, Split, SplitName
from initbench.data.files import DataFile, Download
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.data.formats.cifar_pickle import read_batch
from initbench.data.splits import first_of_each_class, random_split
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch

CLASSES = 10
BATCH = 10_000  # images of a file

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SOURCE_DIGEST = "md5:c58f30108f718f92721af3b95e74349a"
SOURCE_SIZE = 170_498_071

FOLDER = "cifar-10-batches-py"
TRAIN_FILES = (
    DataFile(f"{FOLDER}/data_batch_1", ("md5:c99cafc152244af753f735de768cd75f",), 31_035_704),
    DataFile(f"{FOLDER}/data_batch_2", ("md5:d4bba439e000b95fd0a9bffe97cbabec",), 31_035_320),
    DataFile(f"{FOLDER}/data_batch_3", ("md5:54ebc095f3ab1f0389bbae665268c751",), 31_035_999),
    DataFile(f"{FOLDER}/data_batch_4", ("md5:634d18415352ddfa80567beed471001a",), 31_035_696),
    DataFile(f"{FOLDER}/data_batch_5", ("md5:482c414d41f54cd18b22e5b47cb7c3cb",), 31_035_623),
)
TEST_FILE = DataFile(f"{FOLDER}/test_batch", ("md5:40351d587109b95175f43aff81a1287e",), 31_035_526)

SplitOrigin = Literal["harder2023", "schuerholt2022", "knyazev2022"]
HELD_OUT: Mapping[SplitOrigin, int] = {
    "harder2023": 5_000,
    "schuerholt2022": 8_000,
    "knyazev2022": 5_000,
}
"""How many of the training images validate."""
LABELS_PER_CLASS = 100  # of `knyazev2022`

Normalisation = Literal["none", "half", "channel", "imagenet"]
MEANS_AND_DEVIATIONS: Mapping[Normalisation, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "channel": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
PUBLISHED: Mapping[SplitOrigin, Normalisation] = {
    "harder2023": "none",
    "schuerholt2022": "half",
    "knyazev2022": "channel",
}


class CIFAR10Config(FilesConfig):
    """Which published split to use, and how pixels are normalised."""

    split: Annotated[SplitOrigin, Field(description="the paper whose split it is")] = "harder2023"
    normalisation: Annotated[
        Literal["published", Normalisation],
        Field(description="of pixels; `published` is that of the paper of the split"),
    ] = "published"


class CIFAR10(FileDataSet[CIFAR10Config]):
    """CIFAR-10 in the split of one of three papers."""

    name = "cifar10"
    summary = "60,000 colour photographs of 32x32 pixels in ten classes"
    citation = Citation(
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, "
        "University of Toronto, 2009.",
        "https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
    )
    licence = "none stated by its authors, who ask to cite the technical report"
    how_to_get = f"download {SOURCE} and unpack it into `{FOLDER}`"
    classes = CLASSES
    channels = 3
    native_size = 32
    version = "1"
    Config = CIFAR10Config

    images_per_file: ClassVar[int] = BATCH
    held_out: ClassVar[Mapping[SplitOrigin, int]] = HELD_OUT
    labels_per_class: ClassVar[int] = LABELS_PER_CLASS

    def split_sizes(self) -> Mapping[SplitName, int]:
        """Return how many images each split has."""
        validation = self.held_out[self.config.split]
        train = len(TRAIN_FILES) * self.images_per_file - validation
        if self.config.split == "knyazev2022":
            train = self.classes * self.labels_per_class
        return {"train": train, "validation": validation, "test": self.images_per_file}

    def files(self) -> tuple[DataFile, ...]:
        """Return the five training batches and the test batch."""
        return (*TRAIN_FILES, TEST_FILE)

    def downloads(self) -> tuple[Download, ...]:
        """Return the archive of all batches."""
        archive = SOURCE.rpartition("/")[2]
        return (Download((SOURCE,), archive, SOURCE_DIGEST, SOURCE_SIZE, unpack="tar"),)

    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits at native size.

        Raises UserError where a file is missing, truncated or not what its name says.
        """
        import torch

        files = self.open_files(root)
        images, labels, test_images, test_labels = read_cifar10(files, self.images_per_file)
        train, validation = self.split_ids(labels)
        mean, std = self.normalisation()
        return ImageSplits(
            Split(images[train], labels[train], train),
            Split(images[validation], labels[validation], validation),
            Split(test_images, test_labels, torch.arange(len(test_labels)) + len(labels)),
            self.classes,
            mean,
            std,
        )

    def split_ids(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids (int64) of the training and the validation images.

        `labels` are those of the training batches, in their order.
        """
        import torch

        held_out = self.held_out[self.config.split]
        rest = len(labels) - held_out
        if self.config.split == "knyazev2022":
            train = first_of_each_class(labels[:rest], self.labels_per_class, self.classes)
            return train, torch.arange(rest, len(labels))
        train, validation = random_split(len(labels), (rest, held_out))
        return train, validation

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation by channel, of pixels from 0 to 1."""
        chosen = self.config.normalisation
        return MEANS_AND_DEVIATIONS[
            PUBLISHED[self.config.split] if chosen == "published" else chosen
        ]


def read_cifar10(
    files: Mapping[str, Path], images_per_file: int = BATCH
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return training images, training labels, test images and test labels in official order.

    Images are uint8 of shape (images, 3, 32, 32), labels int64. `files` maps the paths that
    `TRAIN_FILES` and `TEST_FILE` declare to where they are.

    Raises UserError where a file is not a batch of `images_per_file` images.
    """

    def read(*declared: DataFile) -> tuple[torch.Tensor, torch.Tensor]:
        import numpy as np
        import torch

        batches = [read_batch(files[file.path], images_per_file, CLASSES) for file in declared]
        images, labels = zip(*batches, strict=True)
        return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels))

    return (*read(*TRAIN_FILES), *read(TEST_FILE))
