"""Pools: where jobs are performed. Two that behave alike: worker processes, and this process."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from initbench.errors import InitbenchError
from initbench.execution.devices import Slot
from initbench.execution.events import Broken, Event, Finished, Ready, event_of
from initbench.execution.jobs import Job
from initbench.store.atomic import open_log

if TYPE_CHECKING:
    from initbench.execution.workspace import Workspace


class Pool(Protocol):
    """Performs jobs, some at a time."""

    def has_room(self) -> bool:
        """Tell whether another job can be begun at once."""

    def submit(self, job: Job) -> None:
        """Begin a job."""

    def next_event(self, timeout: float) -> Event | None:
        """Wait for the next event; None when nothing happened within `timeout` seconds."""

    def close(self) -> None:
        """Stop at once; outcomes that are spooled already stay."""


class InProcessPool:
    """Performs jobs in this process, one after another: for debugging, and as the reference."""

    def __init__(self, workspace: Workspace) -> None:
        from initbench.execution.worker import configure_torch

        configure_torch()
        self._workspace = workspace
        self._job: Job | None = None
        self._events: deque[Event] = deque()

    def has_room(self) -> bool:
        return self._job is None

    def submit(self, job: Job) -> None:
        self._job = job

    def next_event(self, timeout: float) -> Event | None:
        from initbench.execution.worker import perform_and_tell

        if not self._events and self._job is not None:
            line = json.dumps(self._job.tree())
            self._job = None
            perform_and_tell(line, self._workspace, self._events.append)
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        self._events.clear()


@dataclass(frozen=True)
class WorkerFiles:
    """The places on disk that a worker is told about."""

    results: Path
    spool: Path
    log: Path
    data_root: Path | None


class WorkerPool:
    """Performs jobs in spawned processes, one a slot; a worker that dies takes no other with it."""

    def __init__(self, slots: Sequence[tuple[Slot, WorkerFiles]]) -> None:
        self._events: queue.Queue[tuple[_Worker, Ready | Event | None]] = queue.Queue()
        self._workers = [_Worker(slot, files, self._events) for slot, files in slots]

    def has_room(self) -> bool:
        return any(worker.job is None for worker in self._workers)

    def submit(self, job: Job) -> None:
        next(worker for worker in self._workers if worker.job is None).begin(job)

    def next_event(self, timeout: float) -> Event | None:
        try:
            worker, event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event is None:
            return worker.died()
        return worker.heard(event)

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()


class _Worker:
    """One slot and the process that works in it."""

    def __init__(
        self,
        slot: Slot,
        files: WorkerFiles,
        events: queue.Queue[tuple[_Worker, Ready | Event | None]],
    ) -> None:
        self.job: Job | None = None
        self._slot = slot
        self._files = files
        self._events = events
        self._process: subprocess.Popen[str] | None = None
        self._started = False  # once it has, its death is the job's fault, not the set-up's

    def begin(self, job: Job) -> None:
        """Hand a job to the process, starting one if there is none."""
        self.job = job
        if self._process is None:
            self._process = self._spawn()
        assert self._process.stdin is not None
        # A process that died a moment ago is reported by its reader thread.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job.tree()) + "\n")
            self._process.stdin.flush()

    def heard(self, event: Ready | Event) -> Event | None:
        """Note what an event means for the slot; return it if it concerns others too."""
        if isinstance(event, Ready):
            self._started = True
            return None
        if isinstance(event, Finished | Broken):
            self.job = None
        return event

    def died(self) -> Event | None:
        """Clean up after a dead process; the job it had is lost."""
        process, job, started = self._process, self.job, self._started
        self._process, self.job, self._started = None, None, False
        if process is None or job is None:
            return None
        code = process.wait()
        log = self._log_tail()
        if not started:
            raise InitbenchError(
                f"a worker process ended before it did any work (exit code {code}); its log:\n{log}"
            )
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return Broken(job.id, "lost", f"the worker process died {how}", log)

    def stop(self) -> None:
        """Kill the process and everything it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _spawn(self) -> subprocess.Popen[str]:
        files = self._files
        command = [sys.executable, "-m", "initbench.execution.worker"]
        command += ["--results", str(files.results), "--spool", str(files.spool)]
        command += ["--device", self._slot.device, "--devices", str(self._slot.devices)]
        if files.data_root is not None:
            command += ["--data", str(files.data_root)]
        with open_log(files.log) as log:
            # A session of its own: Ctrl-C goes to the planner, which decides about its workers.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self._slot.environment},
                start_new_session=True,
            )
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._events.put((self, event_of(json.loads(line))))
        self._events.put((self, None))

    def _log_tail(self) -> str:
        text = self._files.log.read_text(errors="replace") if self._files.log.exists() else ""
        return text[-4000:]
