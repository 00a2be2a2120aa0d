"""How long drawing the slices of a ResNet-20 takes: of one network, and of several at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import torch

from initbench_slices.initialiser import LocalInitialiser
from initbench_slices.stacking import Start, draw, unpack

SLICES = [3 * 16, *[16 * 16] * 6, 16 * 32, *[32 * 32] * 5, 32 * 64, *[64 * 64] * 5]
"""Of each layer."""


def random_models(starts: Mapping[str, Start]) -> dict[str, torch.Tensor]:
    """Return models that were not trained, one a layer."""
    generators = [torch.Generator().manual_seed(layer) for layer in range(len(SLICES))]
    return unpack(draw(starts, generators), starts)


def report(
    initialiser: LocalInitialiser[Any],
    models: Mapping[str, torch.Tensor],
    device: str,
    rounds: int,
    members: int,
) -> None:
    """Draw one network and `members` at once, `rounds` times each, and log the median times.

    Args:
        initialiser: whose `sample` is timed.
        models: what its `learn` returns, but for the scale.
        device: where to compute.
        rounds: of which the median is taken, after one to warm up.
        members: networks that are drawn at once.
    """
    on_device = {name: x.to(device) for name, x in models.items()}
    tensors = {**on_device, "scale": torch.ones(len(SLICES), device=device)}
    generator = torch.Generator().manual_seed(0)
    for networks in (1, members):
        wanted = list(enumerate(SLICES)) * networks
        times = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            drawn = initialiser.sample(tensors, 3, wanted, generator)
            float(drawn[-1][0, 0])  # waits for a GPU
            times.append(time.perf_counter() - started)
        seconds = median(times[1:])
        logging.info(
            "%-12s %2d x ResNet-20 drawn at once on %s, %d threads: %8.1f ms, best %8.1f ms",
            *(initialiser.name, networks, device, torch.get_num_threads()),
            *(1000 * seconds, 1000 * min(times)),
        )
