"""The allocator: memory that tensors leave on the CPU is kept for the next ones."""

from __future__ import annotations

import ctypes

# From malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_LARGEST_KEPT = 2**30
_KEPT_IN_ALL = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors; say whether it could be done.

    glibc returns large pieces to the system at once, so every step of training pays for the pages
    of its activations again: a quarter of the time of the zoo CNN with batches of 128, half of that
    of a stack, nothing with batches of 10. Pieces of up to 1 GiB, and
    2 GiB in all, are kept from now on. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_M_TRIM_THRESHOLD, _KEPT_IN_ALL)
    )
