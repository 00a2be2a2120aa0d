"""Laps: what the processes of a side do.

They train throughout, and wait at a gate between laps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

import torch

from initbench.bench.material import Material
from initbench.bench.plain_loop import (
    plain_dataset,
    plain_loader,
    plain_optimiser,
    train_plainly,
)
from initbench.data.device_data import on_device
from initbench.data.image_files import cores
from initbench.training.allocator import keep_freed_memory
from initbench.training.cost import Meter
from initbench.training.outcome import Progress
from initbench.training.recipe import Evaluation
from initbench.training.schedule import steps_per_epoch

Laps = Callable[[int, int], Callable[[], object]]
"""Makes a lap of so many rounds, with so many loader workers."""

_MOST_ROUNDS = 10_000  # more than any series has


@dataclass(frozen=True)
class Way:
    """How one side trains."""

    loop: Literal["plain", "tuned", "ours", "stacked"]
    processes: int = 1
    networks: int = 1  # of each process
    steps: int = 1  # of a round

    @property
    def side(self) -> str:
        """What people call it."""
        which = {"plain": "PyTorch", "tuned": "PyTorch, tuned"}.get(self.loop, "initbench")
        if self.loop == "stacked":
            stacks = "a stack" if self.processes == 1 else f"{self.processes} stacks"
            return f"{which}, {stacks} of {self.networks:,}"
        networks = "one network" if self.processes == 1 else f"{self.processes} networks at once"
        return f"{which}, {networks}"


@dataclass(frozen=True)
class Ready:
    """A process has done what it was told to and waits."""

    peak_bytes: int
    note: str


@dataclass(frozen=True)
class Failed:
    """A process could not go on."""

    message: str
    out_of_memory: bool


class Gate:
    """Where a process waits for the next lap."""

    def __init__(self, connection: Connection, device: torch.device) -> None:
        self.note = ""
        self._connection = connection
        self._meter = Meter(device)

    def wait(self) -> int:
        """Say that the last lap is done; return how many rounds the next one has.

        Raises EOFError where there is to be none.
        """
        peak = self._meter.cost(images_seen=0, steps=0).peak_memory_bytes  # waits for the device
        self._connection.send(Ready(peak, self.note))
        rounds: int = self._connection.recv()
        return rounds


def serve(connection: Connection, material: Material, way: Way, number: int) -> None:
    """Train as `way` says, lap by lap, until the other end of `connection` is closed."""
    ours = way.loop in ("ours", "stacked")
    if ours:
        torch.set_num_threads(1)
        keep_freed_memory()
    loop = _ours if ours else _plain
    try:
        loop(Gate(connection, torch.device(material.device)), material, way, number)
    except EOFError:
        return
    except Exception as error:
        lack = isinstance(error, MemoryError | torch.OutOfMemoryError)
        connection.send(Failed(f"{type(error).__name__}: {error}", lack))


def _ours(gate: Gate, material: Material, way: Way, number: int) -> None:
    """Train as the harness does; each evaluation, of two images, ends a round."""
    from initbench.training.stacked_run import train_stack
    from initbench.training.trainer import train

    splits = material.splits()
    data = on_device(splits, material.device)
    first = number * way.networks
    members = [material.member(first + i, splits) for i in range(way.networks)]
    rounds_left = 0

    def on_progress(position: int, _: Progress) -> None:
        nonlocal rounds_left
        if position == len(members) - 1:  # the last to be told of
            rounds_left -= 1
            if rounds_left <= 0:
                rounds_left = gate.wait()

    per_epoch = steps_per_epoch(material.recipe, len(splits.train))
    recipe = material.recipe.model_copy(
        update={
            "evaluation": Evaluation(every=way.steps, unit="batch"),
            "epochs": math.ceil(_MOST_ROUNDS * way.steps / per_epoch),
        }
    )
    (train_stack if way.loop == "stacked" else train)(
        members, data, recipe, on_progress=on_progress
    )


def _plain(gate: Gate, material: Material, way: Way, number: int) -> None:
    """Train as a researcher does, one network at a time.

    With as many threads as torch takes by itself and no loader workers, as PyTorch comes; with what
    is fastest here where it is `tuned`; with one thread where there are several processes.
    """
    device = torch.device(material.device)
    splits = material.splits()
    dataset = plain_dataset(splits)
    network = material.network(number, splits).to(device)
    optimiser = plain_optimiser(network, material.recipe.optimiser)

    def laps(rounds: int, workers: int) -> Callable[[], object]:
        batches = rounds * way.steps
        loader = plain_loader(dataset, material.recipe.batch_size, batches, workers, device)
        return lambda: train_plainly(network, loader, optimiser, device)

    threads, workers = torch.get_num_threads() if way.processes == 1 else 1, 0
    if way.loop == "tuned":
        tried = {choice: _seconds_a_step(*choice, laps, way, device) for choice in choices(cores())}
        threads, workers = min(tried, key=lambda choice: tried[choice])
        gate.note = "; ".join(
            f"{seconds * 1000:.2f} ms a step with {counted(count, 'thread')} and "
            f"{counted(loaders, 'loader worker')}"
            for (count, loaders), seconds in sorted(tried.items(), key=lambda item: item[1])
        )
    elif way.processes == 1:
        gate.note = f"{counted(threads, 'thread')}, no loader workers"
    torch.set_num_threads(threads)
    rounds, lap = 0, laps(1, workers)
    while True:
        wanted = gate.wait()
        if wanted != rounds:
            rounds, lap = wanted, laps(wanted, workers)
        lap()


def _seconds_a_step(
    threads: int, workers: int, laps: Laps, way: Way, device: torch.device
) -> float:
    torch.set_num_threads(threads)
    lap = laps(1, workers)
    lap()  # starts the workers
    start = time.perf_counter()
    lap()
    lap()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / 2 / way.steps


def choices(available: int) -> list[tuple[int, int]]:
    """Return the numbers of threads and of loader workers that are tried with so many cores."""
    workers = sorted({0, 2, min(available, 8)})
    return [(threads, count) for threads in sorted({available, 1}) for count in workers]


def counted(number: int, what: str) -> str:
    """Return `1 thread`, `2 threads`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
