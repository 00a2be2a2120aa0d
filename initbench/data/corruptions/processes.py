"""Corrupting images in other processes: who asks, and the servers that answer.

Servers are started afresh: a fork would copy locks that threads of torch hold, and `spawn` of
multiprocessing imports the main module of the caller again, with all that it imports. A request is
one line of JSON and the bytes of the images, a reply one line of JSON and the bytes of the
corrupted images. A server ends with its input, so none outlives the process that started it.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from initbench.errors import UserError

PROTOCOL = "initbench/cifar10c/1"
"""Bump it when the bytes of any corruption change."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_LOG_BYTES = 4000


@dataclass(frozen=True)
class Chunk:
    """Neighbouring images that are corrupted together, and share a generator."""

    name: str
    severity: int
    number: int

    @property
    def seed(self) -> str:
        """The text whose SHA-256 seeds the generator."""
        return f"{PROTOCOL}/{self.name}/{self.severity}/{self.number}"


def corrupted_by_processes(
    work: Iterable[tuple[Chunk, NDArray[np.uint8]]],
    processes: int,
    photographs: Sequence[Path] = (),
) -> Generator[tuple[Chunk, NDArray[np.uint8]]]:
    """Yield every chunk of `work` with its corrupted images, in the order they get ready.

    Args:
        work: chunks, each with its images (n, 32, 32, 3).
        processes: how many work at a time, on one thread each. Closing the iterator kills them.
        photographs: files for frost; without any, the procedural substitute is used.

    Raises:
        UserError: a process was killed, or cannot read the photographs.
    """
    idle: queue.SimpleQueue[_Server] = queue.SimpleQueue()
    servers: list[_Server] = []

    def answer(chunk: Chunk, images: NDArray[np.uint8]) -> tuple[Chunk, NDArray[np.uint8]]:
        server = idle.get()
        try:
            return chunk, server.corrupt(chunk, images)
        finally:
            idle.put(server)  # a dead one too: no thread may wait for ever

    rest = iter(work)
    threads = ThreadPoolExecutor(processes)
    try:
        for _ in range(processes):
            servers.append(_Server(photographs))
            idle.put(servers[-1])
        # Twice as many as there are servers: none waits while the caller stores what is ready.
        pending = {threads.submit(answer, *item) for item in islice(rest, 2 * processes)}
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {threads.submit(answer, *item) for item in islice(rest, len(ready))}
            yield from (future.result() for future in ready)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for server in servers:
            server.kill()  # and so ends the threads, whose replies do not come any more


class _Server:
    """One process that corrupts images."""

    def __init__(self, photographs: Sequence[Path]) -> None:
        command = [sys.executable, "-P", "-m", __name__, *map(str, photographs)]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        # A session of its own: Ctrl-C goes to the caller, which kills what it started.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin
        self._replies = self._process.stdout

    def corrupt(self, chunk: Chunk, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `images` corrupted."""
        with suppress(BrokenPipeError):  # a process that has died is noticed by its silence
            _send(self._requests, {**asdict(chunk), "shape": images.shape}, images)
        head = self._replies.readline()
        if head and (refusal := json.loads(head)["refusal"]):
            raise UserError(refusal)
        body = self._replies.read(images.nbytes)
        if len(body) < images.nbytes:
            self._explain_death(chunk)
        return np.frombuffer(body, np.uint8).reshape(images.shape)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._replies, self._log):
            with suppress(BrokenPipeError):  # a request that was on its way
                stream.close()

    def _explain_death(self, chunk: Chunk) -> None:
        code = self._process.wait()
        what = f"{chunk.name}, severity {chunk.severity}"
        if code < 0:
            raise UserError(
                f"a process that makes {what} was ended by {signal.Signals(-code).name} (out of "
                "memory?); run again, all that was finished is kept"
            )
        self._log.seek(0)
        log = self._log.read().decode(errors="replace")[-_LOG_BYTES:]
        raise RuntimeError(f"a process that makes {what} ended with exit code {code}:\n{log}")


def serve(requests: IO[bytes], replies: IO[bytes], photographs: Sequence[Path]) -> None:
    """Answer requests until their input ends."""
    for line in iter(requests.readline, b""):
        head = json.loads(line)
        shape = head.pop("shape")
        body = requests.read(int(np.prod(shape)))
        images = np.frombuffer(body, np.uint8).reshape(shape)
        try:
            corrupted = corrupt(images, Chunk(**head), photographs)
        except UserError as error:
            _send(replies, {"refusal": str(error)})
        else:
            _send(replies, {"refusal": None}, corrupted)


def corrupt(
    images: NDArray[np.uint8], chunk: Chunk, photographs: Sequence[Path]
) -> NDArray[np.uint8]:
    """Return `images` (n, 32, 32, 3) corrupted as `chunk` says."""
    images = np.ascontiguousarray(images)  # sums depend on the layout in the last bit
    draws = draws_of(chunk)
    if chunk.name == "frost" and photographs:
        from initbench.data.corruptions.weather import frost

        pictures = read_photographs(tuple(photographs))
        corrupted = frost(images, chunk.severity, draws, pictures)
    else:
        from initbench.data.corruptions import catalogue

        corrupted = catalogue.corrupt(images, chunk.name, chunk.severity, draws)
    if corrupted.shape != images.shape or corrupted.dtype != images.dtype:
        raise TypeError(
            f"{chunk.name} returned {corrupted.dtype} {corrupted.shape} "
            f"for {images.dtype} {images.shape}"
        )
    return corrupted


@cache
def read_photographs(paths: tuple[Path, ...]) -> list[NDArray[np.uint8]]:
    """Return photographs (height, width, 3).

    Raises UserError where a file is no image.
    """
    from PIL import Image

    pictures = []
    for path in paths:
        try:
            with Image.open(path) as image:
                pictures.append(np.asarray(image.convert("RGB")))
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(
                f"{path}: expected a photograph of frost, got what Pillow cannot read ({error}); "
                "replace it with the original, or remove all photographs of frost"
            ) from error
    return pictures


def draws_of(chunk: Chunk) -> np.random.RandomState:
    """Return the generator of a chunk: the legacy one of NumPy, whose stream is frozen.

    Its seed is the SHA-256 of the chunk's text, read as eight big-endian words.
    """
    words = np.frombuffer(hashlib.sha256(chunk.seed.encode()).digest(), ">u4")
    return np.random.RandomState(words.astype(np.uint32))


def _send(stream: IO[bytes], head: dict[str, Any], body: NDArray[np.uint8] | None = None) -> None:
    stream.write(json.dumps(head).encode() + b"\n")
    if body is not None:
        stream.write(body.tobytes())
    stream.flush()


def main() -> None:
    """Serve on the standard streams until the input ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not look like a reply
    with suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, replies, [Path(path) for path in sys.argv[1:]])


if __name__ == "__main__":
    main()
