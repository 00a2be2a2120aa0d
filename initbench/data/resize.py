"""Resizing: bringing images to the size that a model needs, the same on every machine."""

from __future__ import annotations

import torch
import torch.nn.functional as F

_CHUNK_PIXELS = 2**20  # at a time, because float64 takes eight times the memory of bytes

# A pixel that lies exactly between two levels must not depend on the last bit of a weighted sum.
# Bilinear weights are fractions, so sums that are not halves are further away than this.
_HALF_UP = 0.5 + 1e-6


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return `images` (images, channels, height, width; uint8) at `size` x `size` pixels, uint8.

    Bilinear interpolation between pixel centres, with the kernel widened when shrinking
    (antialiasing), computed in float64 and rounded to the nearest level, halves up. Images that
    have the size already are returned unchanged.
    """
    if images.shape[-2:] == (size, size):
        return images
    channels = images.shape[1]
    chunk = max(_CHUNK_PIXELS // (channels * max(size, *images.shape[-2:]) ** 2), 1)
    resized = images.new_empty(len(images), channels, size, size)
    for part, target in zip(images.split(chunk), resized.split(chunk), strict=True):
        target.copy_(_resize(part, size))
    return resized


def _resize(images: torch.Tensor, size: int) -> torch.Tensor:
    exact = F.interpolate(
        images.double(), (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return exact.add_(_HALF_UP).floor_().clamp_(0, 255).to(torch.uint8)
