"""Energy: what a GPU used, by its own counter (NVML), where nobody else was on the device.

The counter is that of the device, and says nothing about one of several processes. It is read
through nvidia-ml-py, an optional dependency.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch


def joules(device: torch.device) -> float | None:
    """Return what the counter of a device says; only differences between two such values mean much.

    None where there is no counter, or where another process is on the device at this moment.
    """
    found = _counter(device)
    if found is None:
        return None
    nvml, handle = found
    try:
        if len(nvml.nvmlDeviceGetComputeRunningProcesses(handle)) > 1:
            return None
        millijoules: int = nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return None
    return millijoules / 1000


@cache
def _counter(device: torch.device) -> tuple[Any, Any] | None:
    """Return the library and its handle of a device; None where there is no such thing."""
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        # Torch may be shown fewer devices than there are, and in another order.
        uuid = torch.cuda.get_device_properties(device).uuid
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError:
        return None
