"""Streamed data: images decoded from files by threads, a few batches ahead of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

import torch

from initbench.data.dataset import ImageSplits, Split, SplitName
from initbench.data.device_data import Batch, DeviceData, by_channel
from initbench.data.image_files import Decoding, ImageFiles, decoders

AHEAD = 3
"""Batches that are decoded, or being decoded, while the network is at work on another one."""


class StreamedSplit(Split):
    """A split with its images on disk, its labels and ids on the device."""

    images: ImageFiles


@dataclass(frozen=True)
class StreamedData(DeviceData):
    """A data set that no memory holds: AHEAD + 1 batches of bytes are all that is kept.

    To CUDA devices batches travel from pinned memory, while the device computes.
    """

    train: StreamedSplit
    validation: StreamedSplit
    test: StreamedSplit
    classes: int
    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, splits: ImageSplits, device: torch.device | str = "cpu") -> StreamedData:
        """Return `splits`, whose images are `ImageFiles`, for batches on `device`."""

        def streamed(split: Split) -> StreamedSplit:
            images, labels, ids = split.images, split.labels.to(device), split.ids.to(device)
            if not isinstance(images, ImageFiles):
                raise TypeError(f"expected `ImageFiles`, got {type(images).__name__}")
            return StreamedSplit(images, labels, ids)

        return cls(
            train=streamed(splits.train),
            validation=streamed(splits.validation),
            test=streamed(splits.test),
            classes=splits.classes,
            mean=by_channel(splits.mean, device),
            std=by_channel(splits.std, device),
        )

    def split(self, name: SplitName) -> StreamedSplit:
        """Return a split by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]

    def batch(
        self,
        split: SplitName,
        indices: torch.Tensor,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Batch:
        """Return the images and labels at `indices`, decoded while the caller waits."""
        source = self.split(split)
        images = source.images[indices].to(self.device)
        if augment is not None:
            images = augment(images)
        return self.normalise(images), source.labels.index_select(0, indices)

    def batches_at(
        self,
        split: SplitName,
        batches: Iterable[torch.Tensor],
        augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> Generator[Batch, None, None]:
        """Yield the images and labels at each of `batches`, of which AHEAD are decoded meanwhile.

        Raises what `ImageFiles` raise, when it is the turn of the batch with that image.
        """
        source = self.split(split)
        for indices, decoded in self._decoded(source.images, batches):
            there = indices.to(self.device, non_blocking=True)
            images = decoded.to(self.device, non_blocking=True)
            if augment is not None:
                images = augment(images, there)
            yield self.normalise(images), source.labels.index_select(0, there)

    def batches(self, split: SplitName, size: int) -> Generator[Batch, None, None]:
        """Yield the whole split in order, in the fewest batches of at most `size` images."""
        positions = torch.arange(len(self.split(split)))
        yield from self.batches_at(split, positions.tensor_split(-(-len(positions) // size)))

    def _decoded(
        self, files: ImageFiles, batches: Iterable[torch.Tensor]
    ) -> Generator[tuple[torch.Tensor, torch.Tensor], None, None]:
        """Yield each batch of indices with its images on the CPU; stops the threads at the end."""
        pinned = self.device.type == "cuda"
        waiting: deque[tuple[torch.Tensor, Decoding]] = deque()
        with decoders() as pool:
            for indices in batches:
                waiting.append((indices, Decoding(files, indices.tolist(), pool, pinned=pinned)))
                if len(waiting) > AHEAD:
                    first, decoding = waiting.popleft()
                    yield first, decoding.images()
            for indices, decoding in waiting:
                yield indices, decoding.images()
