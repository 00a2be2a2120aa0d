"""Fingerprints: digests that tell whether two people have the same images in the same splits."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from initbench.data.dataset import ImageSplits


def fingerprint(splits: ImageSplits) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of everything that a training can see of `splits`.

    It covers names and shapes of the splits, ids, labels and pixels, the number of classes and
    the normalisation. It does not depend on the platform or on the memory layout of the tensors.
    For image files, names, sizes in bytes and the view stand for the pixels, which would take hours
    to decode.
    """
    from initbench.data.image_files import ImageFiles

    header = {
        "classes": splits.classes,
        "mean": list(splits.mean),
        "std": list(splits.std),
        "splits": {name: list(split.images.shape) for name, split in splits.items()},
    }
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for _, split in splits.items():
        sha.update(_bytes(split.ids, "<i8"))
        sha.update(_bytes(split.labels, "<f4" if split.labels.is_floating_point() else "<i8"))
        if isinstance(split.images, ImageFiles):
            for part in split.images.identity():
                sha.update(part)
        else:
            images = split.images[:]
            sha.update(_bytes(images, "<f4" if images.is_floating_point() else "u1"))
    return sha.hexdigest()


def _bytes(tensor: torch.Tensor, dtype: str) -> bytes:
    return tensor.cpu().numpy().astype(dtype, copy=False).tobytes()
