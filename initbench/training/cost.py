"""Cost: what the training of a member used."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch

from initbench.store.record import Cost
from initbench.training.energy import joules

_STATUS = Path("/proc/self/status")


class Meter:
    """Measures one member from its construction to `cost`.

    Device seconds are the CPU time of this process, or on CUDA the time between two events on the
    current stream. Peak memory is that of torch's allocator on CUDA and, on the CPU, the largest
    resident set that the process ever had. Energy is that of the whole GPU, and known only where
    nobody else was seen on it; then the cost is `exclusive`. Once `add`ed, the cost of earlier
    attempts is included.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._wall_before = 0.0
        self._device_before = 0.0
        self._peak_before = 0
        self._energy_before: float | None = 0.0
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.Event(enable_timing=True)
            self._start.record(torch.cuda.current_stream(device))
        self._energy_start = joules(device)
        self._cpu_start = time.process_time()
        self._wall_start = time.perf_counter()

    def add(self, earlier: Cost) -> None:
        """Include what an earlier attempt used."""
        self._wall_before += earlier.wall_seconds
        self._device_before += earlier.device_seconds
        self._peak_before = max(self._peak_before, earlier.peak_memory_bytes)
        self._energy_before = _sum(self._energy_before, earlier.energy_joules)

    def cost(self, *, images_seen: int, steps: int, stack_size: int = 1) -> Cost:
        """Return what was used so far; waits for the device.

        `images_seen` and `steps` are those of the member, whichever attempt took them. The other
        figures are those of the whole stack it was trained in.
        """
        if self._device.type == "cuda":
            end = torch.cuda.Event(enable_timing=True)
            end.record(torch.cuda.current_stream(self._device))
            end.synchronize()
            device_seconds = self._start.elapsed_time(end) / 1000
            peak_memory_bytes = torch.cuda.max_memory_allocated(self._device)
        else:
            device_seconds = time.process_time() - self._cpu_start
            peak_memory_bytes = _largest_resident_set()
        energy_end = joules(self._device)
        used = None
        if self._energy_start is not None and energy_end is not None:
            used = energy_end - self._energy_start
        return Cost(
            wall_seconds=self._wall_before + time.perf_counter() - self._wall_start,
            device_seconds=self._device_before + device_seconds,
            peak_memory_bytes=max(self._peak_before, peak_memory_bytes),
            images_seen=images_seen,
            steps=steps,
            stack_size=stack_size,
            exclusive=used is not None,
            energy_joules=_sum(self._energy_before, used),
        )


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def _largest_resident_set() -> int:
    """Return bytes. Linux's `ru_maxrss` begins with what the parent of the process had."""
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
