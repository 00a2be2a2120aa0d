"""Performing a job: a pure function of its description, the store it reads and the spool it writes.

Nothing here knows who asked. A trial whose plugin or model raises becomes a record with status
`failed`; running out of memory is left to the caller, who calls the job lost.
"""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError, PluginError, StoreError, UserError
from initbench.execution.calibration import fitting_stack
from initbench.execution.events import Event, Outcome, Progress
from initbench.execution.jobs import DataJob, FitJob, Job, TrainJob
from initbench.execution.parallel import LostError, train_on_devices
from initbench.plugin.guard import contained, shared_generators
from initbench.store.artifact import StoredArtifact
from initbench.store.environment import environment, scrub
from initbench.store.record import CoverageRow, Failure, Record, Streams, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store
from initbench.streams import Stream, generator, stream_seed
from initbench.suite.plan import target_of
from initbench.suite.trial import DataReference, Fitting, Reference, Trial

if TYPE_CHECKING:
    import torch

    from initbench.data.dataset import DataSet, ImageSplits
    from initbench.data.device_data import DeviceData
    from initbench.models.anatomy import Anatomy
    from initbench.models.model import Model
    from initbench.plugin.apply import Applied
    from initbench.plugin.initialiser import Artifact, Batch, Initialiser
    from initbench.plugin.registry import Registry, Resolved
    from initbench.plugin.sources import FitInputs, Zoo
    from initbench.training.checkpoint import Keeper
    from initbench.training.cost import Meter
    from initbench.training.outcome import Member, Trained
    from initbench.training.outcome import Progress as Evaluated
    from initbench.training.recipe import Recipe

Emit = Callable[[Event], None]

CHECKPOINT_VARIABLE = "INITBENCH_CHECKPOINT_SECONDS"


@dataclass
class Workspace:
    """Where a job is performed: plugins, the store to read, the spool to write, the device."""

    registry: Registry
    store: Store
    spool: Spool
    device: str
    data_root: Path | None
    devices: int = 1  # that share each trial
    _on_device: dict[str, DeviceData] = field(default_factory=dict)
    _remarks: dict[str, list[str]] = field(default_factory=dict)

    def splits(self, data: DataReference) -> ImageSplits:
        """Return prepared data from the store."""
        from initbench.data.prepared import from_tensors

        artifact = self.store.artifact(data.key)
        if artifact is None or artifact.status is not TrialStatus.DONE:
            raise InitbenchError(f"the prepared data `{data.dataset.name}` are not in the store")
        return from_tensors(self.store.tensors(artifact), artifact.description, self.data_root)

    def on_device(self, data: DataReference) -> DeviceData:
        """Return the data on the device; only the last set used is kept there."""
        from initbench.data.device_data import on_device

        if data.key not in self._on_device:
            self._on_device.clear()
            splits = self.splits(data)
            self._check_device_memory(data.dataset.name, splits)
            self._on_device[data.key] = on_device(splits, self.device)
            self._remarks[data.key] = [str(remark) for remark in splits.remarks]
        return self._on_device[data.key]

    def remarks(self, data: DataReference) -> list[str]:
        """Return what must be said about data that are on the device."""
        return self._remarks[data.key]

    def keeper(self, trial: Trial) -> Keeper:
        """Return who keeps the checkpoints of a trial."""
        from initbench.training.checkpoint import Keeper

        return Keeper(self.store.checkpoint(trial.key), checkpoint_seconds())

    def _check_device_memory(self, name: str, splits: ImageSplits) -> None:
        """Refuse what does not fit on a GPU; main memory is the planner's to check."""
        import torch

        from initbench.data.memory import available_bytes, check_resident, resident_bytes

        if self.device != "cpu" and isinstance(splits.train.images, torch.Tensor):
            sizes = {split: len(images) for split, images in splits.items()}
            needed = resident_bytes(sizes, splits.channels, splits.image_size)
            check_resident(name, needed, available_bytes(self.device))


def checkpoint_seconds() -> float:
    """Return how many seconds are to lie between two checkpoints of a trial.

    Raises UserError for a setting that is no such number.
    """
    from initbench.training.checkpoint import CHECKPOINT_SECONDS

    text = os.environ.get(CHECKPOINT_VARIABLE)
    if not text:
        return CHECKPOINT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise UserError(
            f"{CHECKPOINT_VARIABLE} is `{text}`; expected the seconds between two checkpoints of a "
            "trial: a number from 0 (each step), `inf` for none"
        )
    return seconds


def perform(job: Job, workspace: Workspace, emit: Emit) -> None:
    """Perform a job; every outcome is whole in the spool before it is announced."""
    match job:
        case DataJob():
            _prepare(job, workspace, emit)
        case FitJob():
            _fit(job, workspace, emit)
        case TrainJob():
            _train(job, workspace, emit)


# --- data ---------------------------------------------------------------------------------------


def _prepare(job: DataJob, workspace: Workspace, emit: Emit) -> None:
    from initbench.data.identify import remarked
    from initbench.data.prepared import prepare, to_tensors

    meter = _meter("cpu")
    reference = job.data.dataset
    dataset = _same_code(workspace.registry.dataset(reference.name, reference.config), reference)
    splits = prepare(dataset, job.data.size, workspace.data_root, expected=job.data.fingerprint)
    splits = remarked(dataset, splits, job.data.fingerprint, workspace.data_root)
    tensors, description = to_tensors(splits)
    artifact = StoredArtifact(
        key=job.id,
        kind="data",
        identity=job.data.identity,
        status=TrialStatus.DONE,
        description=description,
        cost=meter.cost(images_seen=0, steps=0),
        environment=environment(),
    )
    emit(Outcome(job.id, str(workspace.spool.put_artifact(artifact, tensors))))


# --- fitting ------------------------------------------------------------------------------------


def _fit(job: FitJob, workspace: Workspace, emit: Emit) -> None:
    meter = _meter(workspace.device)
    initialiser = _initialiser(workspace, job.fitting.initialiser)
    fitted: Artifact | None = None
    failure = None
    try:
        inputs = _fit_inputs(job.fitting, workspace)
        fitted = contained(lambda: initialiser.fit(inputs)).result(f"`fit` of `{initialiser.name}`")
    except MemoryError:
        raise
    except Exception as error:
        if _is_out_of_memory(error):
            raise
        failure = _failure(error)
    artifact = StoredArtifact(
        key=job.id,
        kind="fit",
        identity=job.fitting.identity,
        status=TrialStatus.FAILED if fitted is None else TrialStatus.DONE,
        failure=failure,
        description={} if fitted is None else dict(fitted.description),
        cost=meter.cost(images_seen=0, steps=0),
        environment=environment(),
    )
    tensors = None if fitted is None else fitted.tensors
    emit(Outcome(job.id, str(workspace.spool.put_artifact(artifact, tensors))))


def _fit_inputs(fitting: Fitting, workspace: Workspace) -> FitInputs:
    from initbench.plugin.sources import FitInputs

    network, dataset = _network(workspace, fitting.model, fitting.data, fitting.seed)
    anatomy = _anatomy(network, dataset.channels, fitting.data)
    target = target_of(fitting.model, fitting.data, fitting.recipe, dataset.classes, anatomy)
    sources = tuple(
        _zoo(workspace, source["trials"])
        if source["kind"] == "zoo"
        else workspace.splits(DataReference.of(source["data"]))
        for source in fitting.sources
    )
    return FitInputs(target, sources, generator(fitting.seed, Stream.FIT))


def _zoo(workspace: Workspace, keys: list[str]) -> Zoo:
    from initbench.plugin.sources import Zoo, ZooMember

    members = []
    for key in keys:
        record = workspace.store.record(key)
        if record is not None and record.status is TrialStatus.DONE:
            members.append(
                ZooMember(
                    seed=record.identity["seed"],
                    best=workspace.store.weights(record, "best"),
                    last=workspace.store.weights(record, "last"),
                    validation_accuracy=record.final["validation_accuracy.best"],
                )
            )
    return Zoo(members, missing=len(keys) - len(members))


# --- training -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """A trial ready to be trained."""

    trial: Trial
    attempt: int
    network: torch.nn.Module
    applied: Applied


def _train(job: TrainJob, workspace: Workspace, emit: Emit) -> None:
    from initbench.training.recipe import Recipe

    recipe = Recipe.model_validate(job.trials[0].recipe, strict=False)
    training = _Training(job, workspace, emit, workspace.on_device(job.trials[0].data), recipe)
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

    def begin(self, trial: Trial, attempt: int) -> _Start | None:
        """Initialise a trial's network; None, and a record of the failure, if that fails."""
        initialiser = _initialiser(self.workspace, trial.initialiser)
        with self._failures_of([(trial, attempt)], but_not=()):
            return _start(trial, attempt, initialiser, self.workspace, self.data)
        return None

    def finish(self, starts: Sequence[_Start]) -> None:
        """Train all that could be initialised, in stacks where that can be done."""
        size, note = self._stack(starts)
        for first in range(0, len(starts), size):
            self._finish(starts[first : first + size], note)

    def _stack(self, starts: Sequence[_Start]) -> tuple[int, str | None]:
        """Return how many trials to train at once, and what is to be noted about that."""
        from initbench.training.stackable import why_not_stackable

        if len(starts) < 2 or self.workspace.devices > 1:
            return 1, None
        members = [self._member(start) for start in starts]
        reason = why_not_stackable(members, self.data, self.recipe)
        if reason is not None:
            return 1, f"trained without a stack: {reason}"
        return fitting_stack(members, self.data, self.recipe), None

    def _finish(self, starts: Sequence[_Start], note: str | None) -> None:
        """Train these trials at once; where memory does not suffice, one half after the other."""

        def on_progress(position: int, now: Evaluated) -> None:
            key = starts[position].trial.key
            self.emit(
                Progress(self.job.id, key, now.step, now.total_steps, now.validation_accuracy)
            )

        trials = [(start.trial, start.attempt) for start in starts]
        too_large = False
        with self._failures_of(trials, but_not=(UserError,)):
            try:
                outcomes = self._trained(starts, on_progress)
            except Exception as error:
                too_large = len(starts) > 1 and _is_out_of_memory(error)
                if not too_large:
                    raise
            else:
                done = [
                    _record(start, trained, self.data, self.recipe, self._data_remarks)
                    for start, trained in zip(starts, outcomes, strict=True)
                ]
                for record, weights in done:
                    if note is not None:
                        record.attempt_notes.append(note)
                    self._spool(record, weights)
        if too_large:  # outside of the handler, which keeps what lies on the device
            _free_memory()
            middle = len(starts) // 2
            for half in (starts[:middle], starts[middle:]):
                self._finish(half, note)

    def _trained(
        self, starts: Sequence[_Start], on_progress: Callable[[int, Evaluated], None]
    ) -> list[Trained]:
        from initbench.training.stacked_run import train_stack
        from initbench.training.trainer import check_recipe, train

        if self.workspace.devices > 1:
            return [
                train_on_devices(
                    start.trial, start.network, self.workspace, partial(on_progress, position)
                )
                for position, start in enumerate(starts)
            ]
        members = [self._member(start) for start in starts]
        if len(members) == 1:
            return train(members, self.data, self.recipe, on_progress=on_progress)
        check_recipe(self.recipe, len(self.data.train), self.data.device)
        return train_stack(members, self.data, self.recipe, on_progress=on_progress)

    def _member(self, start: _Start) -> Member:
        from initbench.training.outcome import Member

        return Member(start.network, start.trial.seed, self.workspace.keeper(start.trial))

    @contextmanager
    def _failures_of(
        self, trials: Sequence[tuple[Trial, int]], but_not: tuple[type[Exception], ...]
    ) -> Iterator[None]:
        """Turn what a plugin or model raises into records.

        What is in `but_not` passes through, and so do a full disk and running out of memory: such
        a trial is lost, not failed.
        """
        meter = _meter(self.workspace.device)
        passing: tuple[type[Exception], ...] = (MemoryError, StoreError, LostError, *but_not)
        try:
            yield
        except passing:
            raise
        except Exception as error:
            if _is_out_of_memory(error):
                raise
            for trial, attempt in trials:
                self._spool(self._failed(trial, attempt, error, meter), None)

    def _failed(self, trial: Trial, attempt: int, error: Exception, meter: Meter) -> Record:
        return Record(
            key=trial.key,
            identity=trial.identity,
            status=TrialStatus.FAILED,
            failure=_failure(error),
            cost=meter.cost(images_seen=0, steps=0),
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


def _start(
    trial: Trial,
    attempt: int,
    initialiser: Initialiser[Any],
    workspace: Workspace,
    data: DeviceData,
) -> _Start:
    from initbench.plugin.apply import apply

    network, dataset = _network(workspace, trial.model, trial.data, trial.seed)
    network.to(workspace.device)
    applied = apply(
        initialiser,
        network,
        _anatomy(network, dataset.channels, trial.data),
        seed=trial.seed,
        batch=_calibration_batch(initialiser, trial, data),
        artifact=_fitted_state(workspace, trial),
    )
    return _Start(trial, attempt, _laid_out(network, trial, workspace), applied)


def built(workspace: Workspace, trial: Trial) -> torch.nn.Module:
    """Return the network of a trial as its model builds it, laid out as for training."""
    network, _ = _network(workspace, trial.model, trial.data, trial.seed)
    return _laid_out(network, trial, workspace)


def _laid_out(network: torch.nn.Module, trial: Trial, workspace: Workspace) -> torch.nn.Module:
    model: Model[Any] = workspace.registry.model(trial.model.name, trial.model.config).thing
    return model.laid_out(network)


def _fitted_state(workspace: Workspace, trial: Trial) -> Artifact | None:
    from initbench.plugin.initialiser import Artifact

    if trial.artifact is None:
        return None
    stored = workspace.store.artifact(trial.artifact)
    if stored is None or stored.status is not TrialStatus.DONE:
        reason = stored.failure.message if stored and stored.failure else "it is not in the store"
        raise PluginError(f"the fitted state is missing: {reason}")
    return Artifact(workspace.store.tensors(stored), stored.description)


def _calibration_batch(
    initialiser: Initialiser[Any], trial: Trial, data: DeviceData
) -> Batch | None:
    """Return training images for a data-dependent initialiser, the same for every initialiser."""
    import torch

    from initbench.plugin.initialiser import Batch

    wanted = contained(initialiser.images_needed).result(f"`{initialiser.name}`")
    if wanted == 0:
        return None
    available = len(data.train)
    if wanted > available:
        raise PluginError(
            f"`{initialiser.name}` wants {wanted} training images, the data set has {available}"
        )
    order = torch.randperm(available, generator=generator(trial.seed, Stream.CALIBRATION))
    images, labels = data.batch("train", order[:wanted].to(data.device))
    return Batch(images, labels)


def _record(
    start: _Start, trained: Trained, data: DeviceData, recipe: Recipe, data_remarks: list[str]
) -> tuple[Record, Mapping[str, torch.Tensor]]:
    from initbench.training.trainer import final_numbers

    trial = start.trial
    record = Record(
        key=trial.key,
        identity=trial.identity,
        status=trained.status,
        failure=trained.failure,
        curves=trained.curves,
        final=final_numbers(start.network, trained, data),
        best_index=trained.best_index,
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
        environment=environment(),
        classes=data.classes,
        budget_steps=_budget(recipe, data),
        attempts=start.attempt,
        attempt_notes=trained.attempt_notes,
        notes=start.applied.notes,
        data_remarks=data_remarks,
    )
    weights = {f"best.{name}": tensor for name, tensor in trained.best.items()}
    weights |= {f"last.{name}": tensor for name, tensor in trained.last.items()}
    return record, weights


def _budget(recipe: Recipe, data: DeviceData) -> int:
    from initbench.training.schedule import total_steps

    return total_steps(recipe, len(data.train))


# --- shared -------------------------------------------------------------------------------------


def _initialiser(workspace: Workspace, reference: Reference) -> Initialiser[Any]:
    resolved = workspace.registry.initialiser(reference.name, reference.config)
    thing: Initialiser[Any] = _same_code(resolved, reference)
    return thing


def _same_code(resolved: Resolved[Any], expected: Reference) -> Any:
    """Return the thing, unless its code is not the one that the key names."""
    if resolved.reference.tree() != expected.tree():
        raise PluginError(
            f"`{expected.name}` of {expected.code.distribution} changed after this run was "
            "planned; start the run again"
        )
    return resolved.thing


def _network(
    workspace: Workspace, model: Reference, data: DataReference, seed: int
) -> tuple[torch.nn.Module, DataSet[Any]]:
    """Build a network for a data set; what its constructor draws depends on the seed alone."""
    built = _same_code(workspace.registry.model(model.name, model.config), model)
    dataset = workspace.registry.dataset(data.dataset.name, data.dataset.config).thing
    with shared_generators(stream_seed(seed, Stream.BUILD)):
        outcome = contained(lambda: built.build(dataset.channels, data.size, dataset.classes))
    return outcome.result(f"model `{model.name}`"), dataset


def _anatomy(network: torch.nn.Module, channels: int, data: DataReference) -> Anatomy:
    import torch

    from initbench.models.tracing import anatomy

    return anatomy(network, torch.zeros(2, channels, data.size, data.size))


def _meter(device: str) -> Meter:
    import torch

    from initbench.training.cost import Meter

    return Meter(torch.device(device))


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)


def _failure(error: Exception) -> Failure:
    log = "".join(traceback.format_exception(error))
    return Failure(
        kind=type(error).__name__, message=scrub(str(error))[:2000], log=scrub(log)[-20_000:]
    )
