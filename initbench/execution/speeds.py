"""Speeds: how fast networks train on this machine, remembered in the user's cache folder.

They are measured by `initbench bench training` and by calibrations, used for estimates and for the
choice of a stack, and change no number but time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from initbench.data.folder.remembered import Remembered, user_cache_folder
from initbench.errors import InitbenchError
from initbench.store.environment import environment

_FILE = "speeds.json"


@dataclass(frozen=True)
class Kind:
    """What decides how long a step takes, besides the machine."""

    model: Mapping[str, Any]  # the tree of its reference
    channels: int
    image_size: int
    classes: int
    batch_size: int
    precision: str


class Speeds:
    """Seconds that a step of one network takes one worker while all are busy, by size of stack.

    Size 1 stands for networks that are trained without a stack.
    """

    def __init__(self, device: str) -> None:
        """Take the name of the GPU, or `cpu`."""
        self._machine = _machine(device)
        self._memory = Remembered(user_cache_folder() / _FILE)

    def get(self, kind: Kind) -> dict[int, float]:
        """Return what is known about a kind: nothing, perhaps."""
        known = self._memory.get(self._key(kind)) or {}
        return {int(size): seconds for size, seconds in known.items()}

    def put(self, kind: Kind, seconds: Mapping[int, float]) -> None:
        """Remember `seconds`, and what is known about other sizes of stack."""
        known = self.get(kind) | dict(seconds)
        self._memory.put(self._key(kind), {str(size): known[size] for size in sorted(known)})

    def _key(self, kind: Kind) -> str:
        tree = json.dumps([self._machine, asdict(kind)], sort_keys=True)
        return hashlib.sha256(tree.encode()).hexdigest()


def _machine(device: str) -> dict[str, Any]:
    names = ("cpu", "cpu_count", "machine", "torch", "initbench")
    now = environment()
    return {"device": device} | {name: now[name] for name in names}


def gpu_name(variables: Mapping[str, str]) -> str:
    """Return the name of the GPU that a process with these environment variables uses.

    A process of its own is asked: one that asks keeps memory on the GPU for as long as it lives.
    """
    command = [sys.executable, "-c", "import torch; print(torch.cuda.get_device_name())"]
    answer = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise InitbenchError(f"the GPU cannot be used: {answer.stderr.strip()}")
    return answer.stdout.strip()
