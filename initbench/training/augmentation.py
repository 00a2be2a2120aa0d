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
        batch, channels, height, width = images.shape
        device = images.device
        row = torch.arange(height, device=device) + self.rows[indices, None]  # (batch, height)
        column = torch.arange(width, device=device).expand(batch, width)
        column = torch.where(self.flips[indices, None], width - 1 - column, column)
        column = column + self.columns[indices, None]  # (batch, width)
        padded = F.pad(images, [self.padding] * 4)
        return padded[
            torch.arange(batch, device=device)[:, None, None, None],
            torch.arange(channels, device=device)[None, :, None, None],
            row[:, None, :, None],
            column[:, None, None, :],
        ]


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
