"""Stacked batches: every member's own images in its own order, in one gather."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import torch

from initbench.data.device_data import Batch, DeviceData
from initbench.streams import Stream, generator
from initbench.training.augmentation import Draws, draw
from initbench.training.recipe import Recipe

_CPU = torch.device("cpu")


class StackedBatches:
    """The training images of all members, one batch each at a time.

    The position within an epoch is kept on the device, where tensors stay in their places, so that
    fetching a batch can be recorded as part of a CUDA graph.
    """

    def __init__(self, seeds: Sequence[int], data: DeviceData, recipe: Recipe) -> None:
        self._seeds = list(seeds)
        self._data = data
        self._images = len(data.train) // recipe.tasks  # of an epoch
        self._recipe = recipe
        self._digests = [hashlib.sha256() for _ in seeds]
        self._noted = 0  # images of this epoch that are in the digests
        self._drawn = self._draw(0)  # for the next epoch, on the CPU
        self._order = self._drawn[0]  # of this epoch, on the CPU
        self._now = [tensor.to(data.device, copy=True) for tensor in self._drawn]
        self._position = torch.zeros((), dtype=torch.int64, device=data.device)

    def start(self) -> None:
        """Begin the epoch that was drawn last."""
        self._order = self._drawn[0]
        for now, drawn in zip(self._now, self._drawn, strict=True):
            now.copy_(drawn)
        self._position.zero_()
        self._noted = 0

    def go_on(self, epoch: int, images: int, an_epoch: int) -> None:
        """Go on after the first `images` images of an epoch.

        So many are used in each epoch as `an_epoch` says. They are noted as if all that came before
        had been done here.
        """
        for before in range(epoch):
            self._order = torch.stack(self._orders(before))
            self._noted = 0
            self.note(an_epoch)
        self.draw_ahead(epoch)
        self.start()
        self.note(images)
        self._position.fill_(images)

    def next(self, size: int) -> Batch:
        """Return `size` images of each member, augmented and normalised, and their labels.

        Images are (members, size, channels, height, width), labels (members, size).
        """
        order, *draws = self._now
        columns = self._position + torch.arange(size, device=order.device)
        self._position += size
        indices = order.index_select(1, columns)
        augment = None
        if draws:
            members = torch.arange(len(order), device=order.device)[:, None]
            drawn = Draws(self._recipe.augmentation.crop_padding, *(d.flatten() for d in draws))
            augment = partial(drawn.apply, indices=(indices + members * self._images).flatten())
        images, labels = self._data.batch("train", indices.flatten(), augment)
        return images.unflatten(0, indices.shape), labels.unflatten(0, indices.shape)

    def draw_ahead(self, epoch: int) -> None:
        """Draw what `start` begins next: best while a GPU is still busy with this epoch."""
        self._drawn = self._draw(epoch)

    def note(self, used: int) -> None:
        """Note that the first `used` images of this epoch were used."""
        for digest, order in zip(self._digests, self._order, strict=True):
            digest.update(order[self._noted : used].numpy().tobytes())
        self._noted = used

    def digest(self, row: int) -> str:
        """Return the SHA-256 of the indices of all images noted for a member, in order."""
        return self._digests[row].hexdigest()

    def keep(self, rows: torch.Tensor) -> None:
        """Remove all members but those at `rows` (int64, on the device)."""
        self._now = [now.index_select(0, rows) for now in self._now]
        rows = rows.cpu()
        self._drawn = [drawn.index_select(0, rows) for drawn in self._drawn]
        self._order = self._order.index_select(0, rows)
        self._seeds = [self._seeds[row] for row in rows.tolist()]
        self._digests = [self._digests[row] for row in rows.tolist()]

    def _draw(self, epoch: int) -> list[torch.Tensor]:
        """Return the order, and where images are augmented rows, columns and flips.

        Each is (members, images), on the CPU.
        """
        members = []
        for seed, order in zip(self._seeds, self._orders(epoch), strict=True):
            draws = draw(self._recipe.augmentation, self._images, seed, epoch, _CPU)
            augmentation = (draws.rows, draws.columns, draws.flips) if draws else ()
            members.append((order, *augmentation))
        return [torch.stack(tensors) for tensors in zip(*members, strict=True)]

    def _orders(self, epoch: int) -> list[torch.Tensor]:
        first = epoch // self._recipe.epochs * self._images  # of the task
        draws = (generator(seed, Stream.ORDER, epoch) for seed in self._seeds)
        return [first + torch.randperm(self._images, generator=each) for each in draws]
