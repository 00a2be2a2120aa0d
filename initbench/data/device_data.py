"""Data on a device: what training sees of a data set, wherever its images are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace

import torch

from initbench.data.dataset import ImageSplits, Split, SplitName

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images (batch, channels, height, width; float32, normalised) and their labels."""


class DeviceData(ABC):
    """A data set whose batches come on one device: resident there, or streamed to it."""

    train: Split
    validation: Split
    test: Split
    classes: int
    mean: torch.Tensor  # (1, channels, 1, 1), float32, as is `std`
    std: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def split(self, name: SplitName) -> Split:
        """Return a split by name; labels and ids are on the device."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]

    @abstractmethod
    def batch(
        self,
        split: SplitName,
        indices: torch.Tensor,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Batch:
        """Return the images and labels at `indices`.

        `indices` (int64, on the device) count within the split. `augment` changes the bytes of
        the batch before they are normalised.
        """

    @abstractmethod
    def batches_at(
        self,
        split: SplitName,
        batches: Iterable[torch.Tensor],
        augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> Generator[Batch, None, None]:
        """Yield the images and labels at each of `batches`: indices (int64) on the CPU.

        What comes next is known, so it can be fetched ahead. `augment` is given the bytes of a
        batch and its indices, both on the device. Close the generator if it is left early.
        """

    @abstractmethod
    def batches(self, split: SplitName, size: int) -> Generator[Batch, None, None]:
        """Yield the whole split in order, in the fewest batches of at most `size` images.

        Their lengths differ by one at most, so no straggler of a single image meets a network that
        computes statistics of the batch.
        """

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return `images` as a network sees them: `(image / 255 - mean) / std`, float32.

        Real numbers are not divided by 255.
        """
        if images.is_floating_point():
            return (images - self.mean).div_(self.std)
        return images.float().div_(255).sub_(self.mean).div_(self.std)


def on_device(splits: ImageSplits, device: torch.device | str) -> DeviceData:
    """Return `splits` for training on `device`: resident, or streamed if they are image files."""
    from initbench.data.image_files import ImageFiles
    from initbench.data.resident import ResidentData
    from initbench.data.streamed import StreamedData

    streams = isinstance(splits.train.images, ImageFiles)
    return (StreamedData if streams else ResidentData).of(splits, device)


def normalised_with(data: DeviceData, mean: Sequence[float], std: Sequence[float]) -> DeviceData:
    """Return `data` with its pixels normalised by other numbers, one for each channel."""
    mean_, std_ = (by_channel(tuple(numbers), data.device) for numbers in (mean, std))
    return replace(data, mean=mean_, std=std_)  # type: ignore[type-var]  # all kinds are dataclasses


def by_channel(numbers: tuple[float, ...], device: torch.device | str) -> torch.Tensor:
    """Return a number for each channel in a shape that goes with images: (1, channels, 1, 1)."""
    return torch.tensor(numbers, dtype=torch.float32, device=device).view(1, -1, 1, 1)
