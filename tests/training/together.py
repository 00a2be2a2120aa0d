"""Two processes that train one member together on the CPU, for the tests of that.

They are started once for all cases of a test module, because starting them takes seconds.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

COUNT = 2


def on_two_ranks(work: Callable[[Path], Any], folder: Path) -> list[Any]:
    """Return what `work`, a function of a module, returns on each of two ranks for `folder`."""
    torch.multiprocessing.spawn(_rank, args=(work, folder), nprocs=COUNT)
    return [pickle.loads((folder / f"{rank}").read_bytes()) for rank in range(COUNT)]


def _rank(rank: int, work: Callable[[Path], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    rendezvous = f"file://{folder / 'rendezvous'}"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=COUNT)
    result = work(folder)
    dist.destroy_process_group()
    (folder / f"{rank}").write_bytes(pickle.dumps(result))
