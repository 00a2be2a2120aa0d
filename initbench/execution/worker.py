"""The worker process: reads jobs from standard input, writes outcomes to its spool.

Standard output carries events, one JSON object a line; whatever a plugin prints goes to standard
error, which the planner keeps as a log. At the end of input the worker stops: a planner that was
killed takes its workers with it as soon as they have spooled what they are working on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from initbench.errors import PluginError, UserError
from initbench.execution.devices import THREADS
from initbench.execution.events import Broken, Event, Finished, Ready, to_tree
from initbench.execution.jobs import job_of

if TYPE_CHECKING:
    from initbench.execution.workspace import Workspace


def main() -> None:
    """Perform jobs until the input ends."""
    parser = argparse.ArgumentParser(prog="initbench worker")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--spool", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--data", type=Path)
    serve(parser.parse_args(), _claim_standard_output())


def serve(arguments: argparse.Namespace, events: TextIO) -> None:
    """Perform the jobs of standard input, announcing events."""
    from initbench.execution.workspace import Workspace
    from initbench.plugin.registry import Registry
    from initbench.store.spool import Spool
    from initbench.store.store import Store

    configure_torch()
    workspace = Workspace(
        Registry.installed(),
        Store(arguments.results),
        Spool(arguments.spool),
        arguments.device,
        arguments.data,
        arguments.devices,
    )

    def emit(event: Ready | Event) -> None:
        # Without a planner, what is under way is still worth finishing: the next one adopts it.
        with suppress(BrokenPipeError):
            events.write(json.dumps(to_tree(event)) + "\n")
            events.flush()

    emit(Ready())
    for line in sys.stdin:
        perform_and_tell(line, workspace, emit)


def perform_and_tell(line: str, workspace: Workspace, emit: Callable[[Event], None]) -> None:
    """Perform the job described by `line` and say how it ended."""
    from initbench.execution.parallel import LostError
    from initbench.execution.work import perform
    from initbench.execution.workspace import is_out_of_memory

    job = job_of(json.loads(line))
    try:
        perform(job, workspace, emit)
    except (UserError, PluginError) as error:
        emit(Broken(job.id, "wrong input", str(error)))
    except LostError as error:
        emit(Broken(job.id, "lost", str(error)))
    except Exception as error:
        if is_out_of_memory(error):
            emit(Broken(job.id, "lost", f"out of memory: {error}"))
        else:
            emit(Broken(job.id, "bug", f"{type(error).__name__}: {error}", traceback.format_exc()))
    else:
        emit(Finished(job.id))


def configure_torch() -> None:
    """Make this process compute the same bits whatever runs beside it, and keep its memory."""
    import torch

    from initbench.training.allocator import keep_freed_memory

    torch.set_num_threads(THREADS)
    keep_freed_memory()


def _claim_standard_output() -> TextIO:
    """Keep standard output for events; prints of plugins go to standard error from now on."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


if __name__ == "__main__":
    main()
