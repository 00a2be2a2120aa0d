"""One trial on several devices: a process (rank) for each of them, started for that trial.

The process that has the job is no rank. It initialises the network and writes the record as it
always does, and in between it watches: when one rank fails, it ends all, and says why.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from initbench.errors import InitbenchError, StoreError, UserError
from initbench.suite.trial import Trial

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

    import torch

    from initbench.execution.workspace import Workspace
    from initbench.training.outcome import Progress, Trained

_START = "start.safetensors"
_END = "end.safetensors"


class LostError(InitbenchError):
    """A process of a trial died, or ran out of memory: the trial is lost, not failed."""


class RankError(Exception):
    """What a network raised on one of the devices; a note has the traceback."""


@dataclass(frozen=True)
class _Task:
    """What a rank is told."""

    trial: dict[str, Any]  # its identity
    devices: int
    device: str  # "cpu" or "cuda"
    results: Path
    data_root: Path | None
    folder: Path  # where weights are handed over


@dataclass(frozen=True)
class _Trouble:
    """What stopped a rank."""

    rank: int
    kind: str
    message: str
    log: str
    outcome: str  # "wrong input", "lost" or "failed"


def train_on_devices(
    trial: Trial,
    network: torch.nn.Module,
    workspace: Workspace,
    on_progress: Callable[[Progress], None],
) -> Trained:
    """Train the initialised `network` of a trial on `workspace.devices` devices.

    Raises:
        UserError: the recipe does not fit the data or the number of devices.
        LostError: a rank died or ran out of memory.
        RankError: anything else that was raised on a rank.
    """
    from safetensors.torch import save_file
    from torch.multiprocessing import get_context
    from torch.multiprocessing.spawn import start_processes

    from initbench.training.outcome import state_of

    with tempfile.TemporaryDirectory(prefix="initbench-") as folder:
        task = _Task(
            trial=trial.identity,
            devices=workspace.devices,
            device=workspace.device,
            results=workspace.store.paths.root,
            data_root=workspace.data_root,
            folder=Path(folder),
        )
        save_file(state_of(network), task.folder / _START)
        messages = get_context("spawn").SimpleQueue()
        ranks = start_processes(
            _rank, (task, messages), nprocs=task.devices, join=False, start_method="spawn"
        )
        try:
            trained = _listen(ranks, messages, task.devices, on_progress)
            return _with_states(trained, task.folder / _END)
        finally:
            for process in ranks.processes:
                process.kill()
                process.join()


def _listen(
    ranks: Any, messages: SimpleQueue[Any], devices: int, on_progress: Callable[[Progress], None]
) -> Trained:
    """Wait for the outcome, without its weights, which the first rank sends when it is done."""
    from torch.multiprocessing.spawn import ProcessExitedException

    from initbench.training.outcome import Progress

    trained: Trained | None = None
    ended, death = False, None
    while not ended:
        try:
            ended = ranks.join(timeout=0.1)
        except ProcessExitedException as error:  # it has ended the others
            ended, death = True, error
        while not messages.empty():
            message = messages.get()
            if isinstance(message, _Trouble):
                # The first is the cause: the others only noticed that somebody was gone.
                _raise(message, devices)
            elif isinstance(message, Progress):
                on_progress(message)
            else:
                trained = message
    if death is not None or trained is None:
        how = f": {death}" if death else ""
        raise LostError(f"one of the {devices} processes of a trial died{how}")
    return trained


def _raise(trouble: _Trouble, devices: int) -> NoReturn:
    if trouble.outcome == "wrong input":
        raise UserError(trouble.message)
    text = f"on device {trouble.rank + 1} of {devices}: {trouble.kind}: {trouble.message}"
    if trouble.outcome == "lost":
        raise LostError(text)
    error = RankError(text)
    error.add_note(trouble.log)
    raise error


def _with_states(trained: Trained, path: Path) -> Trained:
    from safetensors.torch import load_file

    from initbench.training.checkpoint import group
    from initbench.training.outcome import unstacked

    tensors = load_file(path)
    best, last, kept = (group(tensors, which) for which in ("best", "last", "kept"))
    return replace(trained, best=best, last=last, kept=unstacked(kept, list(trained.kept)))


# --- in the process of a rank -------------------------------------------------------------------


def _rank(rank: int, task: _Task, messages: SimpleQueue[Any]) -> None:
    """Train one rank's share; whatever goes wrong is told, then this process ends at once."""
    try:
        _train_share(rank, task, messages.put)
    except Exception as error:
        messages.put(_trouble(rank, error))
        # The regular way out would wait for the other ranks, which wait for this one.
        os._exit(1)


def _train_share(rank: int, task: _Task, tell: Callable[[Any], None]) -> None:
    import torch
    import torch.distributed as dist
    from safetensors.torch import load_file, save_file

    from initbench.execution.networks import built
    from initbench.execution.worker import configure_torch
    from initbench.execution.workspace import Workspace
    from initbench.plugin.registry import Registry
    from initbench.store.spool import Spool
    from initbench.store.store import Store
    from initbench.training.outcome import Member
    from initbench.training.parallel import train_together
    from initbench.training.recipe import Recipe

    configure_torch()
    device = task.device
    if device != "cpu":
        device = f"cuda:{rank}"
        torch.cuda.set_device(rank)
    trial = Trial.of(task.trial)
    workspace = Workspace(
        Registry.installed(), Store(task.results), Spool(task.folder), device, task.data_root
    )
    network = built(workspace, trial)
    if rank == 0:  # the others get its weights
        network.load_state_dict(load_file(task.folder / _START))
    data = workspace.on_device(trial.data)
    recipe = Recipe.model_validate(trial.recipe, strict=False)

    dist.init_process_group(
        "gloo" if device == "cpu" else "nccl",
        init_method=f"file://{task.folder / 'rendezvous'}",
        rank=rank,
        world_size=task.devices,
    )
    member = Member(network, trial.seed, workspace.keeper(trial))
    trained = train_together(member, data, recipe, on_progress=tell)
    if rank == 0:
        save_file(trained.tensors(), task.folder / _END)
        tell(replace(trained, best={}, last={}, kept={epoch: {} for epoch in trained.kept}))
    dist.destroy_process_group()


def _trouble(rank: int, error: Exception) -> _Trouble:
    import torch

    outcome = "failed"
    if isinstance(error, UserError):
        outcome = "wrong input"
    elif isinstance(error, MemoryError | torch.OutOfMemoryError | StoreError):
        outcome = "lost"
    log = "".join(traceback.format_exception(error))
    return _Trouble(rank, type(error).__name__, str(error), log, outcome)
