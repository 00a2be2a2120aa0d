"""The runs of one suite in MLflow: found again by their tags, completed, never doubled.

What is guaranteed. After `finish`, the parent run and one child run for each record of the suite
say what results and records say, and none of them is RUNNING. Doing it again changes nothing. A
process may be killed at any moment: the next one completes what it left.

By which steps. A run is made, in one call, with the tags by which it is found again, then filled,
then terminated. One that is terminated and carries the right checksum is complete; any other is
filled again, which is safe because MLflow drops metric values that it has already.

`MlflowClient` only: the fluent interface and its global state are never touched. One thread of one
process at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from initbench.store.manifest import SuiteManifest
from initbench.tracking import content
from initbench.tracking.content import SuiteRun, TrialRun

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_MOST_RUNS_A_PAGE = 1000


class Session:
    """Writes the runs of one suite, and counts what it did."""

    def __init__(self, client: MlflowClient, experiment: str, manifest: SuiteManifest) -> None:
        self.new = 0
        self.skipped = 0
        self.started_ms = now_ms()  # of a parent run yet to be made
        self._client = client
        self._experiment = experiment
        self._manifest = manifest
        self._parent: Run | None = None
        self._parent_is_open = False
        self._children: dict[str, Run] = {}
        self._written: dict[str, str] = {}  # checksum by trial
        self.closed = self._find()

    @property
    def parent_id(self) -> str:
        """The id of the parent run, which is made if there is none."""
        if self._parent is None:
            self._parent = self._client.create_run(
                self._experiment,
                start_time=self.started_ms,
                tags={**content.suite_tags(self._manifest), content.KIND: "suite"},
                run_name=content.suite_name(self._manifest),
            )
            self._parent_is_open = True
        run_id: str = self._parent.info.run_id
        return run_id

    def trial(self, key: str, run: TrialRun) -> None:
        """Make the child run of a trial say what `run` says, and nothing if it does already."""
        if self._written.get(key) == run.checksum:
            return
        self._written[key] = run.checksum
        found = self._children.get(key)
        if found is not None and self._is_complete(found, run):
            self.skipped += 1
            return
        self.started_ms = min(self.started_ms, run.started_ms)
        self._open_parent()
        if found is not None and _contradicts(found, run):
            self._client.delete_run(found.info.run_id)  # parameters cannot be changed
            found = None
        self._fill(self._begin(found, run, key), run, key)
        self.new += 1

    def finish(self, suite: SuiteRun, keys: Iterable[str], ended_ms: int) -> None:
        """Make the parent run say what `suite` says, and end every run of the suite.

        `keys` are the trials that belong to it now.
        """
        belonging = set(keys)
        for key, child in self._children.items():
            self._settle(child, in_suite=key in belonging, written=key in self._written)
        if self._parent is None or not _says(self._parent, suite.status, suite.checksum):
            self._open_parent()
            self._fill_parent(suite)
        if self._parent_is_open:
            self._client.set_terminated(self.parent_id, suite.status, ended_ms)

    def interrupt(self) -> None:
        """End the parent run as KILLED, if it is open: the suite will be continued some day."""
        if self._parent_is_open:
            self._client.set_terminated(self.parent_id, "KILLED")

    def _find(self) -> int:
        """Find the runs of the suite; return how many of them somebody left RUNNING."""
        running = 0
        for run in self._search():
            running += run.info.status == "RUNNING"
            key = run.data.tags.get(content.TRIAL)
            if key is None and self._parent is None:
                self._parent, self._parent_is_open = run, run.info.status == "RUNNING"
            elif key is not None and key not in self._children:
                self._children[key] = run
            else:
                self._client.delete_run(run.info.run_id)  # two machines made it at once
        return running

    def _search(self) -> Iterator[Run]:
        """Yield the runs of the suite, the oldest first."""
        wanted, token = f"tags.`{content.SUITE_ID}` = '{self._manifest.id}'", None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                wanted,
                max_results=_MOST_RUNS_A_PAGE,
                order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _is_complete(self, found: Run, run: TrialRun) -> bool:
        tags = found.data.tags
        return (
            _says(found, run.status, run.checksum)
            and tags.get(content.IN_SUITE) == "true"
            and self._parent is not None
            and tags.get(content.PARENT) == self.parent_id
        )

    def _begin(self, found: Run | None, run: TrialRun, key: str) -> str:
        if found is None:
            found = self._client.create_run(
                self._experiment,
                start_time=run.started_ms,
                tags=self._identifying_tags(key),
                run_name=run.name,
            )
            self._children[key] = found
        else:
            self._client.update_run(found.info.run_id, status="RUNNING")
        run_id: str = found.info.run_id
        return run_id

    def _identifying_tags(self, key: str) -> dict[str, str]:
        return {
            **content.suite_tags(self._manifest),
            content.KIND: "trial",
            content.TRIAL: key,
            content.PARENT: self.parent_id,
        }

    def _fill(self, run_id: str, run: TrialRun, key: str) -> None:
        from mlflow.entities import Metric, Param, RunTag

        tags = {
            **run.tags,
            **self._identifying_tags(key),
            content.IN_SUITE: "true",
            content.CHECKSUM: run.checksum,
        }
        self._client.log_batch(
            run_id,
            metrics=[Metric(p.name, p.value, run.ended_ms, p.step) for p in run.metrics],
            params=[Param(name, value) for name, value in run.params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self._client.set_terminated(run_id, run.status, run.ended_ms)

    def _open_parent(self) -> None:
        run_id = self.parent_id
        if not self._parent_is_open:
            self._client.update_run(run_id, status="RUNNING")
            self._parent_is_open = True

    def _fill_parent(self, suite: SuiteRun) -> None:
        from mlflow.entities import Metric, RunTag

        assert self._parent is not None
        now = now_ms()
        shown = self._parent.data.metrics
        gone = dict.fromkeys(shown.keys() - suite.metrics.keys(), math.nan)
        for name, text in suite.artifacts.items():
            self._client.log_text(self.parent_id, text, name)
        tags = {**suite.tags, content.CHECKSUM: suite.checksum}
        self._client.log_batch(
            self.parent_id,
            metrics=[
                Metric(name, value, now, 0)
                for name, value in {**suite.metrics, **gone}.items()
                if not _equal(shown.get(name), value)
            ],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

    def _settle(self, child: Run, *, in_suite: bool, written: bool) -> None:
        """End and mark a run that was found but not written: its trial left suite or store."""
        if child.info.status == "RUNNING" and not written:
            self._client.set_terminated(child.info.run_id, "KILLED")
        if not in_suite and child.data.tags.get(content.IN_SUITE) != "false":
            self._client.set_tag(child.info.run_id, content.IN_SUITE, "false")


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as MLflow wants it."""
    return round(1000 * time.time())


def _says(run: Run, status: str, checksum: str) -> bool:
    return run.info.status == status and run.data.tags.get(content.CHECKSUM) == checksum


def _contradicts(found: Run, run: TrialRun) -> bool:
    return any(run.params.get(name) != value for name, value in found.data.params.items())


def _equal(shown: float | None, value: float) -> bool:
    return shown == value or (shown is not None and math.isnan(shown) and math.isnan(value))
