"""Numerics: the settings of torch under which members are trained, and the check for divergence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from initbench.streams import Stream, stream_seed


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators from the trial seed and restore everything afterwards.

    On the CPU only deterministic algorithms are allowed: the same seed gives the same bits, given
    the same number of threads. On CUDA float32 means float32: no TF32 in convolutions.
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


def largest_weight(network: torch.nn.Module) -> float:
    """Return the largest magnitude of any parameter; NaN or infinite if one of them is."""
    parameters = [p.detach() for p in network.parameters()]
    return torch.nn.utils.get_total_norm(parameters, norm_type=torch.inf).item()
