"""Numerics: the settings of torch under which members are trained, and the check for divergence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from initbench.store.record import Failure
from initbench.streams import Stream, stream_seed
from initbench.training.recipe import Recipe

CHECK_EVERY = 100
"""Steps between two looks for a NaN, besides those at evaluations: looking makes a GPU wait.

A stack on a GPU is looked at after each epoch instead: it shall not wait within one.
"""


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators from the trial seed and restore everything afterwards.

    On the CPU only deterministic algorithms are allowed: the same seed gives the same bits, given
    the same number of threads. On CUDA float32 means float32: no TF32 in convolutions, unless the
    recipe asks for it (`products`).
    """
    mode = torch.get_deterministic_debug_mode()  # "error" is `use_deterministic_algorithms(True)`
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        torch.manual_seed(stream_seed(seed, Stream.TRAINING))
        try:
            if device.type == "cpu":
                torch.set_deterministic_debug_mode("error")
            yield
        finally:
            torch.set_deterministic_debug_mode(mode)


@contextmanager
def products(recipe: Recipe) -> Iterator[None]:
    """Let a GPU multiply float32 as `recipe` says: with `tf32` in TF32, 10 bits of mantissa.

    For a training step, forward and backward; evaluations are always float32.
    """
    if recipe.precision != "tf32":
        yield
        return
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
        matmul.allow_tf32 = True
        try:
            yield
        finally:
            matmul.allow_tf32 = before


def largest_weight(network: torch.nn.Module) -> float:
    """Return the largest magnitude of any parameter; NaN or infinite if one of them is."""
    parameters = [p.detach() for p in network.parameters()]
    return torch.nn.utils.get_total_norm(parameters, norm_type=torch.inf).item()


def divergence(loss_sum: float, weight: float, steps: int) -> Failure | None:
    """Return the failure if the training loss or the largest weight is not finite by now."""
    for what, value in (("the training loss", loss_sum), ("a weight", weight)):
        if not math.isfinite(value):
            kind = "nan" if math.isnan(value) else "infinity"
            return Failure(kind=kind, message=f"{what} was not finite after {steps} steps")
    return None


def autocast(
    recipe: Recipe, device: torch.device, *, recorded: bool = False
) -> AbstractContextManager[None]:
    """Return the context in which a network computes its logits in the precision of `recipe`.

    What is recorded as a CUDA graph must not find weights that were cast before.
    """
    if recipe.precision in ("float32", "tf32"):
        return nullcontext()
    dtype = getattr(torch, recipe.precision)
    return torch.autocast(device.type, dtype=dtype, cache_enabled=not recorded)
