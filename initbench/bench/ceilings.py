"""Ceilings: what the device can do at most, and what a training step asks of it.

A share of a ceiling is

    images a second x operations (or bytes) of a step for an image / ceiling.

Operations are those of matrix products and convolutions, forwards and backwards; a multiplication
and its addition are two. Bytes are what the operations of an eager step, optimiser included, read
and write one by one. Caches and fused kernels save some of that, so this share may exceed one; it
says how much a loop would gain at most where memory, and nothing else, held it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from initbench.bench.plain_loop import plain_optimiser
from initbench.training.recipe import Recipe

_REPEATS = 5
_COPIED = 2**26  # numbers of four bytes: far more than caches hold


@dataclass(frozen=True)
class Ceilings:
    """The best that was seen of a device, with all cores of a CPU."""

    operations: dict[str, float]
    """Floating-point operations a second of a large matrix product, by number format."""
    bandwidth: float
    """Bytes a second read and written while a large tensor is copied."""


@dataclass(frozen=True)
class Demand:
    """What a training step asks for, for each of its images."""

    operations: float
    bytes: float


def ceilings(device: torch.device) -> Ceilings:
    """Measure the ceilings of `device`: on a GPU for float32, TF32 and bfloat16."""
    on_gpu = device.type == "cuda"
    formats = {"float32": torch.float32}
    if on_gpu:
        formats |= {"tf32": torch.float32, "bfloat16": torch.bfloat16}
    source = torch.ones(_COPIED, device=device)
    target = torch.empty_like(source)
    copied = _best_seconds(lambda: target.copy_(source), device)
    return Ceilings(
        {name: _products(name, dtype, device) for name, dtype in formats.items()},
        2 * source.nbytes / copied,
    )


def _products(name: str, dtype: torch.dtype, device: torch.device) -> float:
    size = 8192 if device.type == "cuda" else 1536
    left = torch.ones(size, size, dtype=dtype, device=device)
    out = torch.empty_like(left)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    try:
        seconds = _best_seconds(lambda: torch.mm(left, left, out=out), device)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return 2 * size**3 / seconds


def _best_seconds(work: Callable[[], object], device: torch.device) -> float:
    def timed() -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    timed()
    return min(timed() for _ in range(_REPEATS))


# --- what a step asks for -----------------------------------------------------------------------


def demand(
    network: torch.nn.Module, image_shape: tuple[int, int, int], classes: int, recipe: Recipe
) -> Demand:
    """Count what a step of `network` in float32 asks for, without computing anything.

    Args:
        network: is moved to the meta device.
        image_shape: channels, height and width.
        classes: of the labels.
        recipe: names the batch size and the optimiser.
    """
    size = recipe.batch_size
    network = network.to("meta").train()
    optimiser = plain_optimiser(network, recipe.optimiser)
    images = torch.empty(size, *image_shape, device="meta")
    labels = torch.empty(size, dtype=torch.int64, device="meta")

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()

    step()  # makes the optimiser's state
    with FlopCounterMode(display=False) as operations:
        step()
    with _BytesMoved() as moved:
        step()
    return Demand(operations.get_total_flops() / size, moved.total / size)


class _BytesMoved(TorchDispatchMode):
    """Adds up what each operation reads and writes; views move nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        views = any(x.alias_info and not x.alias_info.is_write for x in func._schema.returns)
        if not views and "empty" not in func._schema.name:
            tensors = tree_leaves((args, kwargs, result))
            self.total += sum(x.nbytes for x in tensors if isinstance(x, torch.Tensor))
        return result
