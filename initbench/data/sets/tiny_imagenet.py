"""Tiny ImageNet: 200 classes of ImageNet at 64 x 64 pixels.

100,000 training and 10,000 validation images, made for the course CS231n at Stanford (2015). Read
from the folders of the official archive, or sorted by class throughout, as torchvision's
`ImageFolder` wants them. The labels of the official test images were never published.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.data.dataset import ImageSplits, Split
from initbench.data.files import DataFile, Download
from initbench.data.sets.image_folders import (
    ImageFolders,
    ImageFoldersConfig,
    Listing,
    class_names,
    image_sizes,
    list_images,
)
from initbench.errors import UserError
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    from initbench.data.image_files import View

FOLDER = "tiny-imagenet-200"
ARCHIVE = f"{FOLDER}.zip"
ANNOTATIONS = "val_annotations.txt"


class TinyImageNetConfig(ImageFoldersConfig):
    """What validates: by default as many images as test."""

    held_out: Annotated[
        int, Field(ge=1, description="training images of each class that validate")
    ] = 50


class TinyImageNet(ImageFolders[TinyImageNetConfig]):
    """Tiny ImageNet, decoded into memory."""

    name = "tiny_imagenet"
    summary = "110,000 photographs of 64x64 pixels in 200 classes of ImageNet"
    citation = Citation(
        "Y. Le and X. Yang: Tiny ImageNet Visual Recognition Challenge. CS231N course report, "
        "Stanford University, 2015.",
        "http://vision.stanford.edu/teaching/cs231n/reports/2015/pdfs/yle_project.pdf",
    )
    licence = "none stated; as ImageNet: non-commercial research and teaching"
    how_to_get = f"download https://cs231n.stanford.edu/{ARCHIVE} and unpack it"
    classes = 200
    channels = 3
    native_size = 64
    version = "1"
    Config = TinyImageNetConfig

    def files(self) -> tuple[DataFile, ...]:
        """Return the folder of the official archive, or one that is sorted by class."""
        return (DataFile(FOLDER, alternatives=(DataFile("tiny-imagenet"),)),)

    def downloads(self) -> tuple[Download, ...]:
        """Return the official archive."""
        return (
            Download(
                (f"https://cs231n.stanford.edu/{ARCHIVE}",),
                ARCHIVE,
                "md5:90528d7ca1a48142e341f4ef8d21d0de",
                size=248_100_043,
                unpack="zip",
            ),
        )

    def view(self) -> View:
        """Return the whole image; one that is not 64 x 64 is refused."""
        from initbench.data.image_files import View

        return View(crop=self.native_size)

    def list_files(self, root: Path) -> tuple[Listing, Listing]:
        """Return the files of the training and of the test images, in either layout."""
        folder = self.open_files(root)[FOLDER]
        train, test = folder / "train", folder / "val"
        for part in (train, test):
            if not part.is_dir():
                raise UserError(f"`{part}`: expected a folder, got none; {self.how_to_get}")
        names = class_names(train, self.classes)
        inside = "images" if (train / names[0] / "images").is_dir() else ""
        if (test / "images").is_dir():
            return list_images(train, names, inside), _list_annotated(test, names)
        if class_names(test, self.classes) != names:
            raise UserError(
                f"`{test}`: expected the same class folders as in `{train}`, got others; unpack "
                "the whole data set again"
            )
        return list_images(train, names, inside), list_images(test, names)

    def load(self, root: Path | None) -> ImageSplits:
        """Decode the images; validation is held out of `train`, and `val` is for testing."""
        splits = self.image_splits(root)

        def decoded(split: Split) -> Split:
            return replace(split, images=split.images[:])

        return replace(
            splits,
            train=decoded(splits.train),
            validation=decoded(splits.validation),
            test=decoded(splits.test),
        )


def _list_annotated(folder: Path, names: Sequence[str]) -> Listing:
    """Return the test images as the official archive has them: in one folder, with a list."""
    import numpy as np
    import torch

    classes = _annotations(folder / ANNOTATIONS, names)
    sizes = image_sizes(folder / "images")
    if sizes.keys() != classes.keys():
        name = os.fsdecode(min(sizes.keys() ^ classes.keys()))
        raise UserError(
            f"`{folder}`: expected the images that `{ANNOTATIONS}` lists, but `{name}` is only in "
            f"{'the list' if os.fsencode(name) in classes else 'the folder'}; unpack the whole "
            "data set again"
        )
    in_order = sorted(classes, key=lambda name: (classes[name], name))
    return Listing(
        folder=folder,
        names=np.array([b"images/" + name for name in in_order]),
        sizes=np.array([sizes[name] for name in in_order], dtype=np.int64),
        labels=torch.tensor([classes[name] for name in in_order]),
    )


def _annotations(path: Path, names: Sequence[str]) -> dict[bytes, int]:
    """Return the label of each image: lines hold its name, its class and a box, with tabs."""
    label = {os.fsencode(name): number for number, name in enumerate(names)}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"`{path}`: cannot be read: {error.strerror}; restore it") from error
    labels: dict[bytes, int] = {}
    for number, line in enumerate(lines, start=1):
        image, _, rest = line.partition(b"\t")
        name = rest.partition(b"\t")[0]
        if name not in label or not image or image in labels:
            raise UserError(
                f"`{path}`, line {number}: expected the name of another image and its class, with "
                f"a tab between them, got {line[:80]!r}; restore the file"
            )
        labels[image] = label[name]
    return labels
