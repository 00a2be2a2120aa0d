"""Memory of freed tensors is used again without asking the system for it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import resource, torch
from initbench.training.allocator import keep_freed_memory
print(keep_freed_memory() if {kept} else None)
for _ in range(5):
    torch.ones(16 * 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again() -> None:
    faults = {}
    for kept in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT.format(kept=kept)],
            capture_output=True,
            text=True,
            check=True,
        )
        answer, count = done.stdout.split()
        assert answer == ("True" if kept else "None")
        faults[kept] = int(count)
    # 64 MiB in pages of 4 KiB, or of 2 MiB where the system makes them so large by itself.
    assert faults[False] >= 10 * 32
    assert faults[True] < faults[False] / 2
