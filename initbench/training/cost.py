"""Cost: what the training of a member used."""

from __future__ import annotations

import resource
import sys
import time

import torch

from initbench.store.record import Cost


class Meter:
    """Measures one member from its construction to `cost`.

    Device seconds are the CPU time of this process, or on CUDA the time between two events on the
    current stream. Peak memory is that of torch's allocator on CUDA and, on the CPU, the largest
    resident set that the process ever had.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.Event(enable_timing=True)
            self._start.record(torch.cuda.current_stream(device))
        self._cpu_start = time.process_time()
        self._wall_start = time.perf_counter()

    def cost(self, *, images_seen: int, steps: int) -> Cost:
        """Return what was used so far; waits for the device."""
        if self._device.type == "cuda":
            end = torch.cuda.Event(enable_timing=True)
            end.record(torch.cuda.current_stream(self._device))
            end.synchronize()
            device_seconds = self._start.elapsed_time(end) / 1000
            peak_memory_bytes = torch.cuda.max_memory_allocated(self._device)
        else:
            device_seconds = time.process_time() - self._cpu_start
            peak_memory_bytes = _largest_resident_set()
        return Cost(
            wall_seconds=time.perf_counter() - self._wall_start,
            device_seconds=device_seconds,
            peak_memory_bytes=peak_memory_bytes,
            images_seen=images_seen,
            steps=steps,
        )


def _largest_resident_set() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
