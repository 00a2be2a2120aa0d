"""Augmentation: random crops and flips, drawn once an epoch, applied a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from initbench.streams import Stream, generator
from initbench.training.recipe import Augmentation


@dataclass(frozen=True)
class Draws:
    """How each training image is shifted and flipped in one epoch; all (images,) on the device."""

    padding: int
    rows: torch.Tensor  # int64, 0..2 * padding: where the crop starts in the padded image
    columns: torch.Tensor
    flips: torch.Tensor  # bool

    def apply(self, images: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """Return `images` (batch, channels, height, width; uint8), those at `indices`, augmented.

        Padding is zero before normalisation: black.
        """
        if self.padding:
            rows, columns = (x.index_select(0, indices) for x in (self.rows, self.columns))
            images = _crop(images, self.padding, rows, columns)
        return _flip(images, self.flips.index_select(0, indices))


def _crop(
    images: torch.Tensor, padding: int, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Return `images` padded and cut to their size again, each at its own row and column."""
    padded = F.pad(images, [padding] * 4)
    size = images.shape[1:]  # channels, height, width
    image, *steps = padded.stride()
    # A view of the window at every position in memory: a crop is then one whole entry, which is
    # copied much faster than pixels that are looked up one by one.
    room = sum((length - 1) * step for length, step in zip(size, steps, strict=True))
    windows = padded.as_strided((padded.numel() - room, *size), (1, *steps))
    first = torch.arange(0, padded.numel(), image, device=images.device)  # (batch,)
    return windows.index_select(0, first + rows * steps[1] + columns * steps[2])


def _flip(images: torch.Tensor, flips: torch.Tensor) -> torch.Tensor:
    """Return `images`, those mirrored whose flag in `flips` (batch,) is set."""
    both = torch.cat([images, images.flip(-1)])
    which = torch.arange(len(images), device=images.device) + len(images) * flips
    return both.index_select(0, which)  # whole images again


def draw(
    augmentation: Augmentation, images: int, seed: int, epoch: int, device: torch.device
) -> Draws | None:
    """Return the draws of epoch `epoch` for `images` training images, or None where none are made.

    The draw of an image depends on seed, epoch and its index only: not on batch size or order.
    """
    if augmentation.crop_padding == 0 and not augmentation.flip:
        return None
    stream = generator(seed, Stream.AUGMENTATION, epoch)
    shifts = torch.randint(0, 2 * augmentation.crop_padding + 1, (2, images), generator=stream)
    flips = torch.rand(images, generator=stream) < (0.5 if augmentation.flip else 0.0)
    rows, columns = shifts.to(device)
    return Draws(augmentation.crop_padding, rows, columns, flips.to(device))
