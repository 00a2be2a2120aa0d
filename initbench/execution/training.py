"""Performing a training job: each of its trials becomes a record, whatever happens to it.

A trial whose plugin or model raises becomes a record with status `failed`; running out of memory
alone is left to the caller, who calls the job lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from initbench.errors import MisfitError, StoreError, UserError
from initbench.execution.calibration import fitting_stack
from initbench.execution.events import Outcome, Progress
from initbench.execution.jobs import TrainJob
from initbench.execution.networks import Start, initialiser_of, started
from initbench.execution.parallel import LostError, train_on_devices
from initbench.execution.workspace import Emit, Workspace, failure_of, is_out_of_memory, meter
from initbench.store.environment import environment, scrub
from initbench.store.record import CoverageRow, Record, Streams, TrialStatus
from initbench.suite.trial import Trial

if TYPE_CHECKING:
    import torch

    from initbench.data.device_data import DeviceData
    from initbench.training.cost import Meter
    from initbench.training.outcome import Member, Trained
    from initbench.training.outcome import Progress as Evaluated
    from initbench.training.recipe import Recipe


def train(job: TrainJob, workspace: Workspace, emit: Emit) -> None:
    """Train the trials of a job, and spool a record of each."""
    from initbench.training.recipe import Recipe

    recipe = Recipe.model_validate(job.trials[0].recipe, strict=False)
    training = _Training(job, workspace, emit, workspace.on_device(job.trials[0].data), recipe)
    if training.recipe_fits():
        begun = map(training.begin, job.trials, job.attempts)
        training.finish([start for start in begun if start is not None])


@dataclass(frozen=True)
class _Training:
    """The training of a stack: what becomes of each trial is spooled as soon as it is known."""

    job: TrainJob
    workspace: Workspace
    emit: Emit
    data: DeviceData
    recipe: Recipe
    lost: list[Exception] = field(default_factory=list)

    def recipe_fits(self) -> bool:
        """Say whether the recipe can be followed on these data; if not, leave records of that."""
        from initbench.training.trainer import check_recipe

        costs = meter(self.workspace.device)
        try:
            check_recipe(self.recipe, len(self.data.train), self.data.device)
        except MisfitError as error:
            for trial, attempt in zip(self.job.trials, self.job.attempts, strict=True):
                self._spool(self._failed(trial, attempt, error, costs), None)
            return False
        return True

    def begin(self, trial: Trial, attempt: int) -> Start | None:
        """Initialise a trial's network; None, and a record of the failure, if that fails."""
        initialiser = initialiser_of(self.workspace, trial.initialiser)
        with self._judged(trial, attempt, but_not=(StoreError,)):
            return started(trial, attempt, initialiser, self.workspace, self.data)
        return None

    def finish(self, starts: Sequence[Start]) -> None:
        """Train all that could be initialised, in stacks where that can be done.

        A trial that is lost takes no other with it: its error is raised when all were trained.
        """
        if starts:
            size, note = self._stack(starts)
            for first in range(0, len(starts), size):
                self._finish(starts[first : first + size], note)
        if self.lost:
            raise self.lost[0]

    def _stack(self, starts: Sequence[Start]) -> tuple[int, str | None]:
        """Return how many trials to train at once, and what is to be noted about that."""
        from initbench.training.stackable import why_not_stackable

        if len(starts) < 2 or self.workspace.devices > 1:
            return 1, None
        members = [self._member(start) for start in starts]
        reason = why_not_stackable(members, self.data, self.recipe)
        if reason is not None:
            return 1, _without_stack(reason)
        return fitting_stack(members, self.data, self.recipe), None

    def _finish(self, starts: Sequence[Start], note: str | None) -> None:
        """Train these trials at once; where memory does not suffice, one half after the other.

        Where a stack raises, one after the other: what it raises need not be the fault of all.
        """
        if len(starts) == 1:
            (start,) = starts
            with self._concluding(start):
                (trained,) = self._trained(starts)
                self._conclude(start, trained, note)
            return
        parts: list[Sequence[Start]] = []
        try:
            outcomes = self._trained(starts)
        except (StoreError, UserError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                middle = len(starts) // 2
                parts = [starts[:middle], starts[middle:]]
            else:
                parts = [[start] for start in starts]
                message = str(error).strip().partition("\n")[0]
                note = _without_stack(scrub(f"it raised {type(error).__name__}: {message}"))
        else:
            for start, trained in zip(starts, outcomes, strict=True):
                with self._concluding(start):
                    self._conclude(start, trained, note)
        if parts:  # outside of the handler, which keeps what lies on the device
            _free_memory()
        for part in parts:
            self._finish(part, note)

    def _conclude(self, start: Start, trained: Trained, note: str | None) -> None:
        record, weights = _record(start, trained, self.data, self.recipe, self._data_remarks)
        if note is not None:
            record.notes.append(note)
        self._spool(record, weights)

    def _trained(self, starts: Sequence[Start]) -> list[Trained]:
        from initbench.training.continual import train_continually
        from initbench.training.stacked_continual import train_stack_continually
        from initbench.training.stacked_run import train_stack
        from initbench.training.trainer import train

        def on_progress(position: int, now: Evaluated) -> None:
            key = starts[position].trial.key
            accuracy, loss = now.validation.accuracy, now.validation.loss
            self.emit(Progress(self.job.id, key, now.step, now.total_steps, accuracy, loss))

        if self.workspace.devices > 1:
            return [
                train_on_devices(
                    start.trial, start.network, self.workspace, partial(on_progress, position)
                )
                for position, start in enumerate(starts)
            ]
        members = [self._member(start) for start in starts]
        one_task = self.recipe.continual is None
        if len(members) == 1:
            alone = train if one_task else train_continually
            return alone(members, self.data, self.recipe, on_progress=on_progress)
        keeper = self.workspace.stack_keeper([start.trial for start in starts])
        together = train_stack if one_task else train_stack_continually
        return together(members, self.data, self.recipe, on_progress=on_progress, keeper=keeper)

    def _member(self, start: Start) -> Member:
        from initbench.training.outcome import Member

        return Member(start.network, start.trial.seed, self.workspace.keeper(start.trial))

    def _concluding(self, start: Start) -> AbstractContextManager[None]:
        return self._judged(start.trial, start.attempt, but_not=(StoreError, UserError))

    @contextmanager
    def _judged(
        self, trial: Trial, attempt: int, but_not: tuple[type[Exception], ...]
    ) -> Iterator[None]:
        """Turn what a plugin or model raises into a record, but for what is in `but_not`.

        A trial that ran out of memory, or whose devices died, is lost, not failed: that is kept
        until the other trials of the job are trained.
        """
        costs = meter(self.workspace.device)
        try:
            yield
        except but_not:
            raise
        except Exception as error:
            if isinstance(error, LostError) or is_out_of_memory(error):
                error.__context__ = None
                self.lost.append(error.with_traceback(None))  # frames keep what is on the device
                _free_memory()
            else:
                self._spool(self._failed(trial, attempt, error, costs), None)

    def _failed(self, trial: Trial, attempt: int, error: Exception, costs: Meter) -> Record:
        return Record(
            key=trial.key,
            identity=trial.identity,
            status=TrialStatus.FAILED,
            failure=failure_of(error),
            cost=costs.cost(images_seen=0, steps=0),
            environment=environment(),
            classes=self.data.classes,
            budget_steps=_budget(self.recipe, self.data),
            attempts=attempt,
            data_remarks=self._data_remarks,
        )

    @property
    def _data_remarks(self) -> list[str]:
        return self.workspace.remarks(self.job.trials[0].data)

    def _spool(self, record: Record, weights: Mapping[str, torch.Tensor] | None) -> None:
        self.emit(Outcome(self.job.id, str(self.workspace.spool.put_record(record, weights))))


def _record(
    start: Start, trained: Trained, data: DeviceData, recipe: Recipe, data_remarks: list[str]
) -> tuple[Record, Mapping[str, torch.Tensor]]:
    from initbench.training.trainer import final_numbers

    trial = start.trial
    record = Record(
        key=trial.key,
        identity=trial.identity,
        status=trained.status,
        failure=trained.failure,
        curves=trained.curves,
        layers=trained.layers,
        final=final_numbers(start.network, trained, data),
        best_index=trained.best_index,
        kept_epochs=list(trained.kept),
        coverage=[
            CoverageRow(
                parameter=name,
                treatment=entry.treatment.value,
                elements=entry.elements,
                reason=entry.reason,
            )
            for name, entry in start.applied.coverage
        ],
        streams=Streams(
            initial_weights=start.applied.initial_weights_digest,
            batch_order=trained.batch_order,
        ),
        cost=trained.cost,
        initialise_cost=start.cost,
        environment=environment(),
        classes=data.classes,
        budget_steps=_budget(recipe, data),
        attempts=start.attempt,
        attempt_notes=trained.attempt_notes,
        notes=list(start.applied.notes),
        data_remarks=data_remarks,
    )
    return record, trained.tensors()


def _budget(recipe: Recipe, data: DeviceData) -> int:
    from initbench.training.schedule import total_steps

    return total_steps(recipe, len(data.train))


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _without_stack(reason: str) -> str:
    return f"trained without a stack: {reason}"
