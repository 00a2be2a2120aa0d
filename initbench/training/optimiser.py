"""Optimisers: from the recipe to torch's own."""

from __future__ import annotations

import torch

from initbench.training.recipe import SGD, Adam, AdamW, Optimiser


def build_optimiser(network: torch.nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Return torch's optimiser for every trainable parameter of `network`, one group.

    The fused kernels are the fastest on CPU and CUDA: one call for all tensors.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    settings = optimiser.model_dump(exclude={"name"})
    match optimiser:
        case SGD():
            return torch.optim.SGD(parameters, **settings, fused=True)
        case Adam():
            return torch.optim.Adam(parameters, **settings, fused=True)
        case AdamW():
            return torch.optim.AdamW(parameters, **settings, fused=True)
