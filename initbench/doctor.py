"""Examining a machine: one small check a concern, none of which may break the others."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from initbench.errors import InitbenchError
from initbench.plugin.discovery import HOOKS, Entry
from initbench.plugin.hooks import PROJECT

_LITTLE_SPACE_BYTES = 2 * 1024**3
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """What one check found, and the command that repairs it."""

    subject: str
    state: Literal["fine", "note", "wrong"]
    what: str
    repair: str = ""


def examine(results: Path, subjects: Collection[str] = ()) -> Iterator[Finding]:
    """Yield what the checks find, all or those of `subjects`; one that breaks is a finding too."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "python": _python,
        "torch": _torch,
        "devices": _devices,
        "data": _data,
        "plugins": _plugins,
        "results": lambda: _results(results),
        "mlflow": lambda: _mlflow(results),
    }
    for subject in subjects or checks:
        try:
            yield from checks[subject]()
        except Exception as error:
            yield Finding(subject, "wrong", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    what = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info >= (3, 13):
        yield Finding("python", "note", f"{what}; tested are 3.11 and 3.12")
    else:
        yield Finding("python", "fine", what)


def _torch() -> Iterator[Finding]:
    """Check torch and torchvision as a pair, in a process of their own: a bad pair may crash."""
    torch_version, vision_version = _installed("torch"), _installed("torchvision")
    if torch_version is None or vision_version is None:
        missing = "torch" if torch_version is None else "torchvision"
        yield Finding(
            "torch", "wrong", f"{missing} is not installed", "pip install torch torchvision"
        )
        return
    pair = f"torch {torch_version}, torchvision {vision_version}"
    script = "import torch, torchvision; torchvision.ops.nms"
    outcome = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    if outcome.returncode != 0:
        last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding(
            "torch",
            "wrong",
            f"{pair} do not import together: {last}",
            "pip install --force-reinstall torch torchvision",
        )
    else:
        yield Finding("torch", "fine", pair)


def _devices() -> Iterator[Finding]:
    import torch

    from initbench.execution.devices import cpu_count

    yield Finding("devices", "fine", f"{cpu_count()} CPU cores")
    if not torch.cuda.is_available():
        yield Finding("devices", "note", "no GPU that torch can use; trials run on the CPU")
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        memory = torch.cuda.get_device_properties(i).total_memory / 1024**3
        yield Finding(
            "devices", "fine", f"cuda:{i} {torch.cuda.get_device_name(i)}, {memory:.0f} GiB"
        )


def _data() -> Iterator[Finding]:
    from initbench.data.prepared import prepare
    from initbench.data.sets.digits import Digits
    from initbench.execution.run import DATA_VARIABLE, data_root

    digits = Digits(Digits.Config())
    prepare(digits, digits.native_size, None)
    yield Finding("data", "fine", "embedded `digits` are as pinned")
    root = data_root()
    if root is None:
        yield Finding("data", "note", f"{DATA_VARIABLE} is not set; only embedded data are found")
    elif not root.is_dir():
        yield Finding(
            "data",
            "wrong",
            f"{DATA_VARIABLE} names `{root}`, which is no folder",
            f"export {DATA_VARIABLE}=/path/to/your/data",
        )
    else:
        yield Finding("data", "fine", f"{DATA_VARIABLE} is `{root}`")


def _plugins() -> Iterator[Finding]:
    from initbench.plugin.registry import Registry

    entries = Registry.installed().entries()
    distributions = {entry.distribution for entry in entries}
    yield Finding(
        "plugins", "fine", f"{len(entries)} entries of {len(distributions)} distribution(s)"
    )
    for entry in entries:
        repair = f"pip install --upgrade {entry.distribution}  (or pip uninstall it)"
        if entry.problem:
            yield Finding("plugins", "wrong", f"{entry.owner}: {entry.problem}", repair)
        elif entry.distribution != PROJECT and entry.kind != HOOKS:
            complaint = _complaint(entry)
            if complaint is not None:
                yield Finding("plugins", "wrong", complaint, repair)


def _complaint(entry: Entry) -> str | None:
    """Use a plugin's entry in a process of its own, which may hang or crash; say what is wrong."""
    command = [sys.executable, "-m", "initbench", "plugins", "show", entry.name]
    try:
        done = subprocess.run(
            [*command, "--kind", entry.kind],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{entry.title} did not answer within {_PATIENCE_SECONDS} s"
    said = [line for line in done.stderr.splitlines() if line.startswith(("warning: ", "error: "))]
    if said:
        return "; ".join(line.split(": ", 1)[1] for line in said)
    return f"{entry.title} ended with exit code {done.returncode}" if done.returncode else None


def _results(results: Path) -> Iterator[Finding]:
    from initbench.store.store import Store

    place = results if results.exists() else results.absolute().parent
    if results.exists() and not results.is_dir():
        yield Finding("results", "wrong", f"`{results}` is a file", "choose another --results")
        return
    if not os.access(place, os.W_OK):
        yield Finding(
            "results", "wrong", f"`{place}` is not writable", f"chmod u+w {place}  (or --results)"
        )
        return
    free = shutil.disk_usage(place).free
    state: Literal["fine", "note"] = "note" if free < _LITTLE_SPACE_BYTES else "fine"
    yield Finding("results", state, f"`{results}`: {free / 1024**3:.0f} GiB free")
    store = Store(results)
    sound = 0
    for key in store.find(""):
        try:
            store.record(key)
            sound += 1
        except InitbenchError as error:
            yield Finding(
                "results",
                "wrong",
                str(error),
                "run the suite again: corrupt records are set aside and trained anew",
            )
    if sound:
        yield Finding("results", "fine", f"{sound} sound records")


def _mlflow(results: Path) -> Iterator[Finding]:
    from initbench.tracking.connection import problem
    from initbench.tracking.location import location

    installed = _installed("mlflow")
    if installed is None:
        yield Finding(
            "mlflow",
            "note",
            "not installed; runs are not mirrored",
            'pip install "initbench[mlflow]"',
        )
        return
    where = location(results)
    wrong = problem(where)
    if wrong is not None:
        yield Finding(
            "mlflow", "wrong", f"{where}: {wrong}", "mend it, then `initbench mlflow sync`"
        )
    else:
        yield Finding("mlflow", "fine", f"mlflow {installed}, tracking to {where}")


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
