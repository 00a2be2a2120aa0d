"""Optimisers: from the recipe to torch's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache

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
            return _eager(torch.optim.SGD)(parameters, **settings, fused=True)
        case Adam():
            return _eager(torch.optim.Adam)(parameters, **settings, fused=True)
        case AdamW():
            return _eager(torch.optim.AdamW)(parameters, **settings, fused=True)


@lru_cache
def _eager(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Return the same optimiser without its ties to torch's compiler, which nothing here uses.

    The decorators of these methods import it, if only to tell it to keep out, and that takes each
    process two seconds. What they do besides is to turn gradients off.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)
