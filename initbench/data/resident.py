"""Resident data: splits as bytes on the device, batches cut and normalised there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from initbench.data.dataset import ImageSplits, Split, SplitName


@dataclass(frozen=True)
class ResidentData:
    """A data set on one device; every batch is one gather and one normalisation, no loop."""

    train: Split
    validation: Split
    test: Split
    classes: int
    mean: torch.Tensor  # (1, channels, 1, 1), float32, as is `std`
    std: torch.Tensor

    @classmethod
    def of(cls, splits: ImageSplits, device: torch.device | str = "cpu") -> ResidentData:
        """Return `splits` on `device`."""

        def resident(split: Split) -> Split:
            return replace(
                split,
                images=split.images.to(device),
                labels=split.labels.to(device),
                ids=split.ids.to(device),
            )

        def by_channel(numbers: tuple[float, ...]) -> torch.Tensor:
            return torch.tensor(numbers, dtype=torch.float32, device=device).view(1, -1, 1, 1)

        return cls(
            train=resident(splits.train),
            validation=resident(splits.validation),
            test=resident(splits.test),
            classes=splits.classes,
            mean=by_channel(splits.mean),
            std=by_channel(splits.std),
        )

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def split(self, name: SplitName) -> Split:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]

    def batch(
        self,
        split: SplitName,
        indices: torch.Tensor,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images (batch, channels, height, width; float32) and labels at `indices`.

        `indices` (int64, on the device) count within the split. `augment` changes the bytes of
        the batch before they are normalised.
        """
        source = self.split(split)
        images = source.images[indices]
        if augment is not None:
            images = augment(images)
        return self.normalise(images), source.labels[indices]

    def batches(self, split: SplitName, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
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

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 `images` as a network sees them: `(image / 255 - mean) / std`, float32."""
        return images.float().div_(255).sub_(self.mean).div_(self.std)
