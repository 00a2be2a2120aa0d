"""Sides: processes that train in turns, each a lap whenever it is told to.

Every side has processes of its own, so that threads and memory are its own too, and all of them
train throughout: between laps they wait. A round is a fixed number of steps; a lap is as many
rounds as take about as long as was asked for.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from initbench.bench.laps import Ready, Way, serve
from initbench.bench.material import Material
from initbench.errors import InitbenchError


class OutOfMemoryError(InitbenchError):
    """A side needs more memory than there is."""


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
            process = context.Process(target=serve, args=(theirs, self._material, self.way, number))
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

    def _answer(self, process: SpawnProcess, connection: Connection) -> Ready:
        try:
            answer = connection.recv()
        except EOFError:
            process.join()
            killed = process.exitcode == -signal.SIGKILL  # as Linux does when memory runs out
            kind = OutOfMemoryError if killed else InitbenchError
            raise kind(f"a process of it ended with exit code {process.exitcode}") from None
        if isinstance(answer, Ready):
            return answer
        kind = OutOfMemoryError if answer.out_of_memory else InitbenchError
        raise kind(f"{self.way.side}: {answer.message}")
