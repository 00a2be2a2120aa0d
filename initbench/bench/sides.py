"""Sides: processes that train in turns, each a lap whenever it is told to.

Every side has processes of its own, so that threads and memory are its own too, and all of them
train throughout: between laps they wait. A round is a fixed number of steps; a lap is as many
rounds as take about as long as was asked for.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file

from initbench.bench.plain_loop import (
    plain_dataset,
    plain_loader,
    plain_optimiser,
    train_plainly,
)
from initbench.data.dataset import ImageSplits, Split
from initbench.data.device_data import on_device
from initbench.data.image_files import cores
from initbench.data.prepared import from_tensors
from initbench.errors import InitbenchError
from initbench.models.model import Model
from initbench.training.cost import Meter
from initbench.training.outcome import Member, Progress
from initbench.training.recipe import Evaluation, Recipe
from initbench.training.schedule import steps_per_epoch

Laps = Callable[[int, int], Callable[[], object]]
"""Makes a lap of so many rounds, with so many loader workers."""

_MOST_ROUNDS = 10_000  # more than any series has


@dataclass(frozen=True)
class Material:
    """What is trained, on which images."""

    model: Model[Any]
    recipe: Recipe
    tensors: Path  # of the prepared data
    description: dict[str, Any]
    device: str

    def splits(self) -> ImageSplits:
        """Return the images, which all processes map from one file."""
        return from_tensors(load_file(self.tensors), self.description, None)

    def network(self, seed: int, splits: ImageSplits) -> torch.nn.Module:
        """Return a network as the model builds it."""
        torch.manual_seed(seed)
        return self.model.build(splits.channels, splits.image_size, splits.classes)

    def member(self, seed: int, splits: ImageSplits) -> Member:
        """Return a network in its model's layout, for our trainer."""
        return Member(self.model.laid_out(self.network(seed, splits)), seed)


def first_images(splits: ImageSplits, train: int, evaluated: int) -> ImageSplits:
    """Return the first images of each split: `train` to train on, `evaluated` of the others."""

    def first(split: Split, images: int) -> Split:
        return Split(split.images[:images], split.labels[:images], split.ids[:images])

    return replace(
        splits,
        train=first(splits.train, train),
        validation=first(splits.validation, evaluated),
        test=first(splits.test, evaluated),
    )


@dataclass(frozen=True)
class Way:
    """How one side trains."""

    loop: Literal["plain", "ours", "stacked"]
    processes: int = 1
    networks: int = 1  # of each process
    steps: int = 1  # of a round

    @property
    def side(self) -> str:
        """What people call it."""
        which = "PyTorch" if self.loop == "plain" else "initbench"
        if self.loop == "stacked":
            stacks = "a stack" if self.processes == 1 else f"{self.processes} stacks"
            return f"{which}, {stacks} of {self.networks:,}"
        networks = "one network" if self.processes == 1 else f"{self.processes} networks at once"
        return f"{which}, {networks}"


class OutOfMemoryError(InitbenchError):
    """A side needs more memory than there is."""


@dataclass(frozen=True)
class _Ready:
    """A process has done what it was told to and waits."""

    peak_bytes: int
    note: str


@dataclass(frozen=True)
class _Failed:
    message: str
    out_of_memory: bool


class Side:
    """The processes of one way to train; use it as a context."""

    def __init__(self, way: Way, material: Material) -> None:
        self.way = way
        self.rounds = 1
        self.peak_bytes = 0
        """Of all its processes together, so far; without those that a DataLoader starts."""
        self.note = ""
        self._material = material
        self._processes: list[tuple[SpawnProcess, Connection]] = []

    def __enter__(self) -> Side:
        context = multiprocessing.get_context("spawn")
        for number in range(self.way.processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._material, self.way, number)
            )
            process.start()
            theirs.close()
            self._processes.append((process, ours))
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._processes:
            connection.close()  # which they take as the end
            process.join(30)
            process.kill()

    def prepare(self, seconds: float) -> None:
        """Start training, and let a lap take about `seconds` from now on.

        Raises OutOfMemoryError, or InitbenchError for anything else that goes wrong.
        """
        self._wait()
        self.lap()  # compiles, fills caches
        start = time.perf_counter()
        self.lap()
        self.rounds = max(round(seconds / (time.perf_counter() - start)), 1)

    def lap(self) -> None:
        """Train for a lap in all processes; errors as for `prepare`."""
        for _, connection in self._processes:
            connection.send(self.rounds)
        self._wait()

    @property
    def amount(self) -> float:
        """Images that all networks together see in a lap."""
        steps = self.rounds * self.way.steps
        return self.way.processes * self.way.networks * steps * self._material.recipe.batch_size

    def _wait(self) -> None:
        answers = [self._answer(*process) for process in self._processes]
        self.peak_bytes = sum(answer.peak_bytes for answer in answers)
        self.note = answers[0].note

    def _answer(self, process: SpawnProcess, connection: Connection) -> _Ready:
        try:
            answer = connection.recv()
        except EOFError:
            process.join()
            killed = process.exitcode == -signal.SIGKILL  # as Linux does when memory runs out
            kind = OutOfMemoryError if killed else InitbenchError
            raise kind(f"a process of it ended with exit code {process.exitcode}") from None
        if isinstance(answer, _Ready):
            return answer
        kind = OutOfMemoryError if answer.out_of_memory else InitbenchError
        raise kind(f"{self.way.side}: {answer.message}")


# --- inside the processes -----------------------------------------------------------------------


class _Gate:
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
        self._connection.send(_Ready(peak, self.note))
        rounds: int = self._connection.recv()
        return rounds


def _serve(connection: Connection, material: Material, way: Way, number: int) -> None:
    torch.set_num_threads(1)
    loop = _plain if way.loop == "plain" else _ours
    try:
        loop(_Gate(connection, torch.device(material.device)), material, way, number)
    except EOFError:
        return
    except Exception as error:
        lack = isinstance(error, MemoryError | torch.OutOfMemoryError)
        connection.send(_Failed(f"{type(error).__name__}: {error}", lack))


def _ours(gate: _Gate, material: Material, way: Way, number: int) -> None:
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


def _plain(gate: _Gate, material: Material, way: Way, number: int) -> None:
    """Train as a researcher does, one network at a time with what is fastest here."""
    device = torch.device(material.device)
    splits = material.splits()
    dataset = plain_dataset(splits)
    network = material.network(number, splits).to(device)
    optimiser = plain_optimiser(network, material.recipe.optimiser)

    def laps(rounds: int, workers: int) -> Callable[[], object]:
        batches = rounds * way.steps
        loader = plain_loader(dataset, material.recipe.batch_size, batches, workers, device)
        return lambda: train_plainly(network, loader, optimiser, device)

    threads, workers = 1, 0
    if way.processes == 1:
        tried = {choice: _seconds_a_step(*choice, laps, way, device) for choice in choices(cores())}
        threads, workers = min(tried, key=lambda choice: tried[choice])
        gate.note = "; ".join(
            f"{seconds * 1000:.2f} ms a step with {count} threads and {loaders} loader workers"
            for (count, loaders), seconds in sorted(tried.items(), key=lambda item: item[1])
        )
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
