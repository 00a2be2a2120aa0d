"""Digests of weights: proof of what a network started from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def tensor_digest(tensor: torch.Tensor) -> str:
    """Return the SHA-256 of a tensor's dtype, shape and bytes, wherever it lies."""
    import torch

    values = tensor.detach().cpu().contiguous()
    head = f"{values.dtype} {list(values.shape)} ".encode()
    return hashlib.sha256(head + values.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def weight_digests(network: torch.nn.Module) -> dict[str, str]:
    """Return the digest of every parameter and buffer by name; tied tensors are named once."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: tensor_digest(tensor) for name, tensor in tensors.items()}


def combined_digest(digests: Mapping[str, str]) -> str:
    """Return one digest of all names and tensors, whatever their order."""
    text = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()
