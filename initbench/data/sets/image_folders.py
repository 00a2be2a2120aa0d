"""Image folders: photographs sorted by class, in the layout of ImageNet.

`train/<class>/*.JPEG` and `val/<class>/*.JPEG`. Classes are numbered in the order of their names,
images are counted in the order (class, name), those of `train` first: so does torchvision's
`ImageFolder`. The test split is `val`, whose labels are public; for validation some images of each
class are held out of `train`, drawn at random.
"""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from initbench.data.dataset import ImageSplits, Remark, Split
from initbench.data.files import Report, silent
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.data.splits import balanced_draw
from initbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from initbench.data.image_files import ImageFiles, View

# Of the training images of ImageNet, as nearly everybody normalises them.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_SUFFIXES = (".jpeg", ".jpg", ".png")
_NAMED = 5  # files that a remark names
_MEMORY = "undecodable.json"


class ImageFoldersConfig(FilesConfig):
    """Where the folders are, what validates, and what becomes of broken images."""

    held_out: Annotated[
        int, Field(ge=1, description="training images of each class that validate")
    ] = 10
    undecodable: Annotated[
        Literal["stop", "skip"],
        Field(
            description="`stop` at an image that will not decode, or `skip` all such: every image "
            "is then decoded once beforehand"
        ),
    ] = "stop"


ImageFoldersConfigT = TypeVar("ImageFoldersConfigT", bound=ImageFoldersConfig)


@dataclass(frozen=True, eq=False)
class Listing:
    """The image files of one part, in the order (class, name)."""

    folder: Path
    names: NDArray[np.bytes_]  # (images,), below `folder`
    sizes: NDArray[np.int64]  # (images,), bytes
    labels: torch.Tensor  # (images,), int64


class ImageFolders(FileDataSet[ImageFoldersConfigT]):
    """A data set of image files sorted by class."""

    @abstractmethod
    def list_files(self, root: Path) -> tuple[Listing, Listing]:
        """Return the files of the training and of the test images."""

    @abstractmethod
    def view(self) -> View:
        """Return what is seen of each image."""

    def make(self, root: Path, report: Report) -> None:
        """Look for images that will not decode, if they are to be skipped; once."""
        if self.config.undecodable == "skip":
            for listing in self.list_files(root):
                undecodable(self._image_files(root, listing), report)

    def image_splits(self, root: Path | None) -> ImageSplits:
        """Return the splits with images in files, to be decoded when they are looked at.

        Raises UserError where folders are missing or hold something else.
        """
        import torch

        self.open_files(root)
        assert root is not None  # otherwise that has raised
        train, test = self.list_files(root)
        training, validation = hold_out(train, self.config.held_out, self.classes)
        of_train = self._part(root, train, first=0)
        of_test = self._part(root, test, first=len(train.labels))
        return ImageSplits(
            train=of_train.split(training),
            validation=of_train.split(validation),
            test=of_test.split(torch.arange(len(test.labels))),
            classes=self.classes,
            mean=MEAN,
            std=STD,
            remarks=_left_out([*of_train.left_out(), *of_test.left_out()]),
        )

    def _part(self, root: Path, listing: Listing, first: int) -> _Part:
        files = self._image_files(root, listing)
        broken = undecodable(files) if self.config.undecodable == "skip" else []
        return _Part(files, listing.labels, first, broken)

    def _image_files(self, root: Path, listing: Listing) -> ImageFiles:
        from initbench.data.image_files import ImageFiles

        folder = listing.folder.relative_to(root).as_posix()
        return ImageFiles(root, folder, listing.names, listing.sizes, self.view())


@dataclass(frozen=True, eq=False)
class _Part:
    """The images of one folder, and which of them to leave out."""

    files: ImageFiles
    labels: torch.Tensor
    first: int  # id of the first image
    broken: list[int]  # positions

    def split(self, chosen: torch.Tensor) -> Split:
        """Return the images at the positions `chosen`; ids are those that they have in all."""
        import torch

        good = chosen[~torch.isin(chosen, torch.tensor(self.broken, dtype=torch.int64))]
        return Split(self.files.take(good), self.labels[good], good + self.first)

    def left_out(self) -> list[Path]:
        """Return the paths of the images that are in no split."""
        return [self.files.path(position) for position in self.broken]


def class_names(folder: Path, classes: int) -> list[str]:
    """Return the names of the class folders in `folder`, sorted.

    Raises UserError where there are not exactly `classes`.
    """
    try:
        with os.scandir(folder) as entries:
            seen = [(entry.name, entry.is_dir()) for entry in entries if entry.name[0] != "."]
    except OSError as error:
        raise UserError(f"`{folder}`: cannot be read: {error.strerror}; restore it") from error
    folders = [name for name, is_folder in seen if is_folder]
    others = len(seen) - len(folders)
    if len(folders) == classes:
        return sorted(folders)
    expected = f"`{folder}`: expected {classes:,} folders, one for each class"
    if not folders and others:
        raise UserError(
            f"{expected}, got {others:,} files side by side; move each image into the folder of "
            "its class (n01440764, n01443537, ...), as the script valprep.sh of "
            "https://github.com/soumith/imagenetloader.torch does for the validation images"
        )
    raise UserError(f"{expected}, got {len(folders):,}; unpack the whole data set there")


def list_images(folder: Path, names: Sequence[str], inside: str = "") -> Listing:
    """Return the image files in the class folders `names` of `folder`.

    `inside` is the folder within each class folder that holds them. Files that are no JPEG or PNG
    by their name, and hidden ones, are passed over.

    Raises UserError where a class has no image.
    """
    import numpy as np
    import torch

    with ThreadPoolExecutor() as pool:  # a folder on the network takes its time to answer
        listed = list(pool.map(lambda name: _list_class(folder, f"{name}/{inside}"), names))
    counts = torch.tensor([len(files) for files, _ in listed])
    return Listing(
        folder=folder,
        names=np.concatenate([files for files, _ in listed]),
        sizes=np.concatenate([sizes for _, sizes in listed]),
        labels=torch.repeat_interleave(torch.arange(len(names)), counts),
    )


def image_sizes(folder: Path) -> dict[bytes, int]:
    """Return the bytes of each image file in `folder`, by name."""
    try:
        return dict(_sizes(folder))
    except OSError as error:
        raise UserError(
            f"`{error.filename or folder}`: cannot be read: {error.strerror}; restore it"
        ) from error


def hold_out(listing: Listing, count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions (int64, rising) of training images and of `count` of each class.

    Raises UserError where a class would have no image left for training.
    """
    import torch

    counts = listing.labels.bincount(minlength=classes)
    fewest, label = int(counts.min()), int(counts.argmin())
    if fewest <= count:
        name = os.fsdecode(listing.names[listing.labels == label][0]).split("/")[0]
        remedy = (
            f"set `held_out` to {fewest - 1} at most, or complete" if fewest > 1 else "complete"
        )
        raise UserError(
            f"`{listing.folder}`: `held_out` is {count:,}, so each class needs more than that many "
            f"images, but `{name}` has {fewest:,}; {remedy} that folder"
        )
    held_out = balanced_draw(listing.labels, count, classes)
    training = torch.ones(len(listing.labels), dtype=torch.bool)
    training[held_out] = False
    return training.nonzero()[:, 0], held_out


def undecodable(files: ImageFiles, report: Report = silent) -> list[int]:
    """Return the positions of the images that will not decode.

    All are decoded, with all CPU cores. The result is remembered for as long as no file is added,
    taken away or changes its size.
    """
    import hashlib

    from initbench.data.folder.remembered import Remembered, cache_folder

    sha = hashlib.sha256(f"{files.folder}\0".encode())
    for part in files.listing():
        sha.update(part)
    memory = Remembered(cache_folder(files.root) / _MEMORY)
    known = memory.get(sha.hexdigest())
    if known is None:
        known = {"positions": list(files.undecodable(report))}
        memory.put(sha.hexdigest(), known)
    positions: list[int] = known["positions"]
    return positions


def _list_class(folder: Path, inside: str) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    import numpy as np

    sizes = image_sizes(folder / inside)
    if not sizes:
        raise UserError(
            f"`{folder / inside}`: expected images ({', '.join(_SUFFIXES)}), got none; unpack the "
            "whole data set there"
        )
    start = os.fsencode(inside.rstrip("/")) + b"/"
    names = sorted(sizes)
    return (
        np.array([start + name for name in names]),
        np.array([sizes[name] for name in names], dtype=np.int64),
    )


def _sizes(folder: Path) -> list[tuple[bytes, int]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith("."):
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    found.append((os.fsencode(entry.name), status.st_size))
    return found


def _left_out(paths: Sequence[Path]) -> tuple[Remark, ...]:
    if not paths:
        return ()
    names = ", ".join(f"`{path.name}`" for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    count = "1 image" if len(paths) == 1 else f"{len(paths):,} images"
    return (Remark("images left out", f"{count} that will not decode: {names}{more}"),)
