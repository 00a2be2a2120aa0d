"""CUDA graphs: work on fixed tensors, recorded once and replayed without Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property

import torch

WARM_UP = 3
"""Calls before a recording: libraries choose their algorithms and take their memory in them."""


class Recorded:
    """Calls `work` with a batch size; on CUDA as a graph of that size, once it is warm.

    `work` reads and writes tensors that stay in their places, and never waits for the device. Where
    it cannot be recorded it goes on as it is, and `refusal` says why. On the CPU it is just called.
    """

    def __init__(self, work: Callable[[int], None], device: torch.device) -> None:
        self._work = work
        self._device = device
        self._calls: Counter[int] = Counter()
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.refusal: str | None = None

    def __call__(self, size: int) -> None:
        if self._device.type != "cuda":
            self._work(size)
            return
        with torch.cuda.device(self._device):
            if size not in self._graphs and self.refusal is None:
                self._calls[size] += 1
                if self._calls[size] > WARM_UP:
                    self._record(size)
            if size in self._graphs:
                self._graphs[size].replay()
            else:
                self._work_beside(size)

    def forget(self) -> None:
        """Drop what was recorded: the tensors have changed their places."""
        self._calls.clear()
        self._graphs.clear()

    def _record(self, size: int) -> None:
        graph = torch.cuda.CUDAGraph()
        # One at a time, with nothing that outlives a replay: so all graphs share their memory.
        pool = next((other.pool() for other in self._graphs.values()), None)
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self._beside):
                self._work(size)  # is recorded, not done
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.refusal = str(error).partition("\n")[0]
        else:
            self._graphs[size] = graph

    @cached_property
    def _beside(self) -> torch.cuda.Stream:
        """The stream of recordings; always the same, because each has memory of its own."""
        return torch.cuda.Stream(self._device)

    def _work_beside(self, size: int) -> None:
        """Work on the stream of recordings, where libraries then find what they set up."""
        usual = torch.cuda.current_stream()
        self._beside.wait_stream(usual)
        with torch.cuda.stream(self._beside):
            self._work(size)
        usual.wait_stream(self._beside)
