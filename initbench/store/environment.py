"""What a record says about the machine: by allow-list, so nothing private can slip in.

Recorded are versions, processor, device and threads, which explain differences in numbers and
times. Never host name, user name, paths or environment variables beyond the three below. Messages
and tracebacks go through `scrub` before they are stored.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import site
import socket
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from initbench import __version__

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
_COMMON_WORDS = frozenset({"root", "user", "localhost"})  # say nothing, occur in any message


def environment() -> dict[str, Any]:
    """Return what describes this process: flat, plain JSON, the same for all trials of a worker.

    `device` is the CUDA device that the process has used, and None before it has used one: asking
    for its name earlier would take memory on the device.
    """
    import torch

    cuda = torch.cuda.is_initialized()
    return {
        "initbench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": _version("torchvision"),
        "numpy": _version("numpy"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "device": torch.cuda.get_device_name() if cuda else None,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def scrub(text: str) -> str:
    """Return `text` without the paths, user name and host name of this machine, safe to store.

    Known folders become `~`, `.`, `<site-packages>` and `<python>`; of any other absolute path only
    the last part stays. Lone surrogates, which UTF-8 cannot hold, become question marks.
    """
    text = text.encode("utf-8", "replace").decode()
    for folder, name in _folders():
        text = re.sub(re.escape(folder) + r"(?![\w.-])", name, text)
    text = re.sub(r'(?<=File ")/[^"\n]*/', "<path>/", text)
    text = re.sub(r"(?<![\w.~>/])(?:/[\w.+@-]+)+/(?=[\w.+@-])", "<path>/", text)
    for word, name in _private_words():
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", name, text)
    return text


def _folders() -> list[tuple[str, str]]:
    """Return folders and the names that replace them, the longest first."""
    packages = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("purelib")]
    known = dict.fromkeys(packages, "<site-packages>")
    for folder in (sysconfig.get_path("stdlib"), sys.prefix, sys.base_prefix):
        known.setdefault(folder, "<python>")
    known.setdefault(os.path.expanduser("~"), "~")
    with suppress(FileNotFoundError):  # somebody deleted the folder we stand in
        known.setdefault(os.getcwd(), ".")
    return sorted(((f, n) for f, n in known.items() if len(f) > 1), key=lambda x: -len(x[0]))


@cache
def _private_words() -> list[tuple[str, str]]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        user = ""
    words = {user: "<user>", socket.gethostname(): "<host>"}
    return [(w, name) for w, name in words.items() if len(w) > 2 and w not in _COMMON_WORDS]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@cache
def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)
