"""The workspace: where a job is performed, and what all jobs share."""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError, PluginError, UserError
from initbench.execution.events import Event
from initbench.store.environment import scrub
from initbench.store.record import Failure, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store
from initbench.suite.trial import DataReference, Reference, Trial

if TYPE_CHECKING:
    from initbench.data.dataset import ImageSplits
    from initbench.data.device_data import DeviceData
    from initbench.plugin.registry import Registry, Resolved
    from initbench.training.checkpoint import Keeper
    from initbench.training.cost import Meter
    from initbench.training.stacked_checkpoint import StackKeeper

Emit = Callable[[Event], None]
"""Tells whoever asked for a job what happens."""

CHECKPOINT_VARIABLE = "INITBENCH_CHECKPOINT_SECONDS"


@dataclass
class Workspace:
    """Where a job is performed: plugins, the store to read, the spool to write, the device."""

    registry: Registry
    store: Store
    spool: Spool
    device: str
    data_root: Path | None
    devices: int = 1  # that share each trial
    _on_device: dict[str, DeviceData] = field(default_factory=dict)
    _remarks: dict[str, list[str]] = field(default_factory=dict)

    def splits(self, data: DataReference) -> ImageSplits:
        """Return prepared data from the store."""
        from initbench.data.prepared import from_tensors

        artifact = self.store.artifact(data.key)
        if artifact is None or artifact.status is not TrialStatus.DONE:
            raise InitbenchError(f"the prepared data `{data.dataset.name}` are not in the store")
        return from_tensors(self.store.tensors(artifact), artifact.description, self.data_root)

    def on_device(self, data: DataReference) -> DeviceData:
        """Return the data on the device; only the last set used is kept there."""
        from initbench.data.device_data import on_device

        if data.key not in self._on_device:
            self._on_device.clear()
            splits = self.splits(data)
            self._check_device_memory(data.dataset.name, splits)
            self._on_device[data.key] = on_device(splits, self.device)
            self._remarks[data.key] = [str(remark) for remark in splits.remarks]
        return self._on_device[data.key]

    def remarks(self, data: DataReference) -> list[str]:
        """Return what must be said about data that are on the device."""
        return self._remarks[data.key]

    def keeper(self, trial: Trial) -> Keeper:
        """Return who keeps the checkpoints of a trial."""
        from initbench.training.checkpoint import Keeper

        return Keeper(self.store.checkpoint(trial.key), checkpoint_seconds())

    def stack_keeper(self, trials: Sequence[Trial]) -> StackKeeper:
        """Return who keeps the checkpoints of a stack, in the place of its last trial."""
        from initbench.training.stacked_checkpoint import StackKeeper

        file = self.store.checkpoint(trials[-1].key)
        return StackKeeper(file, [trial.key for trial in trials], checkpoint_seconds())

    def _check_device_memory(self, name: str, splits: ImageSplits) -> None:
        """Refuse what does not fit on a GPU; main memory is the planner's to check."""
        import torch

        from initbench.data.memory import available_bytes, check_resident, resident_bytes

        if self.device != "cpu" and isinstance(splits.train.images, torch.Tensor):
            sizes = {split: len(images) for split, images in splits.items()}
            needed = resident_bytes(sizes, splits.channels, splits.image_size)
            check_resident(name, needed, available_bytes(self.device))


def checkpoint_seconds() -> float:
    """Return how many seconds are to lie between two checkpoints of a trial.

    Raises UserError for a setting that is no such number.
    """
    from initbench.training.checkpoint import CHECKPOINT_SECONDS

    text = os.environ.get(CHECKPOINT_VARIABLE)
    if not text:
        return CHECKPOINT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise UserError(
            f"{CHECKPOINT_VARIABLE} is `{text}`; expected the seconds between two checkpoints of a "
            "trial: a number from 0 (each step), `inf` for none"
        )
    return seconds


def same_code(resolved: Resolved[Any], expected: Reference) -> Any:
    """Return the thing, unless its code is not the one that the key names."""
    if resolved.reference.tree() != expected.tree():
        raise PluginError(
            f"`{expected.name}` of {expected.code.distribution} changed after this run was "
            "planned; start the run again"
        )
    return resolved.thing


def meter(device: str) -> Meter:
    """Return the meter of what happens on a device from now on."""
    import torch

    from initbench.training.cost import Meter

    return Meter(torch.device(device))


def is_out_of_memory(error: Exception) -> bool:
    """Say whether a device, or this machine, had no memory left."""
    import torch

    # On the CPU, torch has no exception of its own for that.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: " in str(error)
    )


def failure_of(error: Exception) -> Failure:
    """Return what a record says of an error: nothing secret, nothing endless."""
    log = "".join(traceback.format_exception(error))
    return Failure(
        kind=type(error).__name__, message=scrub(str(error))[:2000], log=scrub(log)[-20_000:]
    )
