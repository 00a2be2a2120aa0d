"""Resident data: splits as bytes on the device, batches cut and normalised there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

import torch

from initbench.data.dataset import ImageSplits, Split, SplitName
from initbench.data.device_data import Batch, DeviceData, by_channel


class ResidentSplit(Split):
    """A split that is wholly on the device."""

    images: torch.Tensor

    def at(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels at `indices`; `index_select` copies whole images at a time."""
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)


@dataclass(frozen=True)
class ResidentData(DeviceData):
    """A data set on one device; every batch is one gather and one normalisation, no loop."""

    train: ResidentSplit
    validation: ResidentSplit
    test: ResidentSplit
    classes: int
    mean: torch.Tensor  # (1, channels, 1, 1), float32, as is `std`
    std: torch.Tensor

    @classmethod
    def of(cls, splits: ImageSplits, device: torch.device | str = "cpu") -> ResidentData:
        """Return `splits` on `device`."""

        def resident(split: Split) -> ResidentSplit:
            images = split.images
            if not isinstance(images, torch.Tensor):
                raise TypeError(f"expected images as a tensor, got {type(images).__name__}")
            return ResidentSplit(*(x.to(device) for x in (images, split.labels, split.ids)))

        return cls(
            train=resident(splits.train),
            validation=resident(splits.validation),
            test=resident(splits.test),
            classes=splits.classes,
            mean=by_channel(splits.mean, device),
            std=by_channel(splits.std, device),
        )

    def split(self, name: SplitName) -> ResidentSplit:
        """Return a split by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]

    def batch(
        self,
        split: SplitName,
        indices: torch.Tensor,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Batch:
        """Return the images (batch, channels, height, width; float32) and labels at `indices`.

        `indices` (int64, on the device) count within the split. `augment` changes the bytes of
        the batch before they are normalised.
        """
        images, labels = self.split(split).at(indices)
        if augment is not None:
            images = augment(images)
        return self.normalise(images), labels

    def batches_at(
        self,
        split: SplitName,
        batches: Iterable[torch.Tensor],
        augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> Generator[Batch, None, None]:
        """Yield the images and labels at each of `batches`: indices (int64) on the CPU."""
        source = self.split(split)
        parts = list(batches)
        if not parts:
            return
        # All at once, so that a GPU need not wait for the host before each batch.
        on_device = torch.cat(parts).to(self.device)
        for indices in on_device.split([len(part) for part in parts]):
            images, labels = source.at(indices)
            if augment is not None:
                images = augment(images, indices)
            yield self.normalise(images), labels

    def batches(self, split: SplitName, size: int) -> Generator[Batch, None, None]:
        """Yield the whole split in order, in the fewest batches of at most `size` images.

        Their lengths differ by one at most, so no straggler of a single image meets a network that
        computes statistics of the batch.
        """
        source = self.split(split)
        count = -(-len(source) // size)
        pairs = zip(
            source.images.tensor_split(count), source.labels.tensor_split(count), strict=True
        )
        for images, labels in pairs:
            yield self.normalise(images), labels
