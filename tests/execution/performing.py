"""Jobs performed in the process of a test, as a worker would."""

from __future__ import annotations

import json
from pathlib import Path

from initbench.execution.events import Event, Outcome
from initbench.execution.jobs import Job
from initbench.execution.worker import perform_and_tell
from initbench.execution.workspace import Workspace
from initbench.store.store import StoreWriter


def perform_and_adopt(job: Job, workspace: Workspace, writer: StoreWriter) -> list[Event]:
    """Perform a job, adopt its outcomes, and return all that was told."""
    events: list[Event] = []
    perform_and_tell(json.dumps(job.tree()), workspace, events.append)
    for event in events:
        if isinstance(event, Outcome):
            writer.adopt(Path(event.path))
    return events
