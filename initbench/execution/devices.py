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
    devices: int = 1  # that share each trial


def cpu_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slots(device: str, workers: int | None, devices_per_trial: int = 1) -> list[Slot]:
    """Lease the device to workers.

    Args:
        device: `auto`, `cpu`, `cuda` (all GPUs), or `cuda:N`.
        workers: how many; left out, one a core, or one a GPU.
        devices_per_trial: cores or GPUs that train each trial together.

    Raises:
        UserError: there is no such device, or too few of them.
    """
    together = devices_per_trial
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    gpus = _gpus(device)
    if not gpus:
        return [Slot("cpu", threads, together)] * (workers or max(cpu_count() // together, 1))
    if together > len(gpus):
        raise UserError(
            f"a trial was to be trained on {together} GPUs, but `--device {device}` has "
            f"{len(gpus)}; choose fewer with `--devices-per-trial`"
        )
    groups = [",".join(gpus[i : i + together]) for i in range(0, len(gpus), together)]
    groups = groups[: len(gpus) // together]  # GPUs that are left over do nothing
    # The child sees its devices before torch is imported, so nobody lands on GPU 0 by mistake.
    return [
        Slot("cuda", {"CUDA_VISIBLE_DEVICES": groups[i % len(groups)], **threads}, together)
        for i in range(workers or len(groups))
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
