"""Devices: which ones there are, and how they are leased to workers, one slot a worker."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from initbench.errors import UserError

THREADS = 1
"""Threads of a CPU trial. Always one: sums over threads depend on their number, and a trial's
bits must not depend on how many workers there are."""


@dataclass(frozen=True)
class Slot:
    """What one worker may use: the device as the worker sees it, and its environment."""

    device: str  # "cpu" or "cuda"
    environment: dict[str, str]


def cpu_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slots(device: str, workers: int | None) -> list[Slot]:
    """Lease the device to workers.

    Args:
        device: `auto`, `cpu`, `cuda` (all GPUs), or `cuda:N`.
        workers: how many; left out, one a core, or one a GPU.

    Raises:
        UserError: there is no such device.
    """
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    gpus = _gpus(device)
    if not gpus:
        return [Slot("cpu", threads)] * (workers or cpu_count())
    # The child sees one device before torch is imported, so nobody lands on GPU 0 by mistake.
    return [
        Slot("cuda", {"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)], **threads})
        for i in range(workers or len(gpus))
    ]


def _gpus(device: str) -> list[str]:
    """Return the names under which CUDA knows the GPUs asked for (none: the CPU)."""
    if device == "cpu":
        return []
    if not re.fullmatch(r"auto|cuda(:\d+)?", device):
        raise UserError(f"unknown device `{device}`; expected `auto`, `cpu`, `cuda` or `cuda:N`")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and count == 0:
        return []
    if count == 0:
        raise UserError(
            f"device `{device}` is not there: torch {torch.__version__} sees no GPU; "
            "use `--device cpu`, or run `initbench doctor`"
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    if ":" not in device:
        return names[:count]
    index = int(device.split(":")[1])
    if index >= count:
        raise UserError(
            f"device `{device}` is not there: torch sees {count} GPU(s), "
            f"`cuda:0` to `cuda:{count - 1}`"
        )
    return [names[index]]
