"""Memory: what a data set needs, what there is, and a refusal before anything is loaded.

What is needed follows from numbers known beforehand: the images of each split, channels and sizes.

* *Resident*, a pixel is one byte, and each image has two integers of 8 bytes: label and id. On a
  CPU all workers map the same file of prepared data, so there is one copy for all of them; on a GPU
  each worker has a copy of its own.
* *Preparing* is done by one worker. Reading takes the content of the files and the splits cut from
  it; storing takes the prepared splits, the bytes of their tensors, and the bytes of the file made
  of these. Resizing, in between, takes the splits before and after, which is never more than both.

Not counted: Python and torch themselves (about 300 MB a process), networks and batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from initbench.data.dataset import SplitName
from initbench.errors import UserError

WORKING_BYTES = 128 * 2**20
"""What preparing takes besides: some images in float64, and what the allocator does not give back.
"""

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


def resident_bytes(sizes: Mapping[SplitName, int], channels: int, size: int) -> int:
    """Return the bytes of one copy of the splits, with images of `size` x `size` pixels."""
    return sum(sizes.values()) * (channels * size * size + 2 * 8)


def preparing_bytes(
    sizes: Mapping[SplitName, int], channels: int, native_size: int, size: int
) -> int:
    """Return the bytes that reading, resizing and storing a data set take at their peak."""
    reading = 2 * resident_bytes(sizes, channels, native_size)
    storing = 3 * resident_bytes(sizes, channels, size)
    return max(reading, storing) + WORKING_BYTES


def check_resident(name: str, needed: int, available: int | None, copies: int = 1) -> None:
    """Raise UserError where `copies` copies of `needed` bytes are more than is available.

    `available` is None where nobody knows; nothing is refused then.
    """
    total = copies * needed
    if available is None or total <= available:
        return
    each = f" ({copies} workers with {_gigabytes(needed)} each)" if copies > 1 else ""
    fitting = available // needed
    remedy = f"use `--workers {fitting}`" if fitting else _SMALLER
    raise UserError(
        f"data set `{name}` needs {_gigabytes(total)} of memory{each}, but only "
        f"{_gigabytes(available)} are available; {remedy}"
    )


def check_preparing(name: str, needed: int, available: int | None) -> None:
    """Raise UserError where preparing a data set takes more bytes than are available."""
    if available is not None and needed > available:
        raise UserError(
            f"data set `{name}` needs {_gigabytes(needed)} of memory while it is prepared, but "
            f"only {_gigabytes(available)} are available; {_SMALLER}"
        )


_SMALLER = "choose a smaller image size or a subset, or a machine with more memory"


def available_bytes(device: str) -> int | None:
    """Return the bytes that are free on `device` (`cpu`, `cuda` or `cuda:N`), or None if unknown.

    On a CPU: what the system calls available, or less where a control group (a container, a job of
    a cluster) has a limit; where the system does not say, all memory that is built in.
    On a GPU, asking takes some hundred megabytes on it until this process ends.
    """
    if device != "cpu":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return min((*_free_in_system(), *_free_in_groups()), default=None)


def _free_in_system() -> Iterator[int]:
    kilobytes = _field(_PROC / "meminfo", "MemAvailable:")
    if kilobytes is not None:
        yield kilobytes * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_in_groups() -> Iterator[int]:
    """Yield what each limit on this process leaves, for both versions of Linux's control groups."""
    for line in _text(_PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _free_above(
                _CGROUP, path, "memory.max", "memory.current", cache="inactive_file"
            )
        elif "memory" in controllers.split(","):
            yield from _free_above(
                _CGROUP / "memory",
                path,
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                cache="total_inactive_file",
            )


def _free_above(mount: Path, path: str, limit: str, usage: str, *, cache: str) -> Iterator[int]:
    """Yield what the limits of a group and of the groups around it leave.

    Cached files count as usage, but make room when it is needed. In a container the path may be
    that of the host; the group of the container is then `mount` itself.
    """
    group = mount / path.strip("/")
    for folder in (group, *group.parents):
        if folder == mount or mount in folder.parents:
            most, used = _text(folder / limit), _text(folder / usage)
            if most.isdecimal() and used.isdecimal():  # a group without a limit says `max`
                cached = _field(folder / "memory.stat", cache) or 0
                yield max(int(most) - int(used) + cached, 0)


def _field(path: Path, name: str) -> int | None:
    """Return the number that follows `name` in a file of names and numbers."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name:
            return int(words[1])
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"
