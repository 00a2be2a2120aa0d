"""Performing a job: a pure function of its description, the store it reads and the spool it writes.

Nothing here knows who asked. A trial whose plugin or model raises becomes a record with status
`failed`; running out of memory is left to the caller, who calls the job lost.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError, PluginError, StoreError, UserError
from initbench.execution.events import Event, Outcome, Progress
from initbench.execution.jobs import DataJob, FitJob, Job, TrainJob
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

    from initbench.data.dataset import ImageSplits
    from initbench.data.resident import ResidentData
    from initbench.models.anatomy import Anatomy
    from initbench.plugin.apply import Applied
    from initbench.plugin.initialiser import Artifact, Batch, Initialiser
    from initbench.plugin.registry import Registry, Resolved
    from initbench.plugin.sources import FitInputs, Zoo
    from initbench.training.cost import Meter
    from initbench.training.recipe import Recipe
    from initbench.training.trainer import Trained

Emit = Callable[[Event], None]


@dataclass
class Workspace:
    """Where a job is performed: plugins, the store to read, the spool to write, the device."""

    registry: Registry
    store: Store
    spool: Spool
    device: str
    data_root: Path | None
    _resident: dict[str, ResidentData] = field(default_factory=dict)

    def splits(self, data: DataReference) -> ImageSplits:
        """Return prepared data from the store."""
        from initbench.data.prepared import from_tensors

        artifact = self.store.artifact(data.key)
        if artifact is None or artifact.status is not TrialStatus.DONE:
            raise InitbenchError(f"the prepared data `{data.dataset.name}` are not in the store")
        return from_tensors(self.store.tensors(artifact), artifact.description)

    def resident(self, data: DataReference) -> ResidentData:
        """Return the data on the device; only the last set used is kept there."""
        from initbench.data.resident import ResidentData

        if data.key not in self._resident:
            self._resident.clear()
            self._resident[data.key] = ResidentData.of(self.splits(data), self.device)
        return self._resident[data.key]


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
    from initbench.data.prepared import prepare, to_tensors

    meter = _meter("cpu")
    reference = job.data.dataset
    dataset = _same_code(workspace.registry.dataset(reference.name, reference.config), reference)
    splits = prepare(dataset, job.data.size, workspace.data_root, expected=job.data.fingerprint)
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

    network, classes = _network(workspace, fitting.model, fitting.data, fitting.seed)
    target = target_of(fitting.model, fitting.data, fitting.recipe, classes, _anatomy(network))
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
    training = _Training(job, workspace, emit, workspace.resident(job.trials[0].data), recipe)
    begun = map(training.begin, job.trials, job.attempts)
    training.finish([start for start in begun if start is not None])


@dataclass(frozen=True)
class _Training:
    """The training of a stack: what becomes of each trial is spooled as soon as it is known."""

    job: TrainJob
    workspace: Workspace
    emit: Emit
    data: ResidentData
    recipe: Recipe

    def begin(self, trial: Trial, attempt: int) -> _Start | None:
        """Initialise a trial's network; None, and a record of the failure, if that fails."""
        initialiser = _initialiser(self.workspace, trial.initialiser)
        with self._failures_of([(trial, attempt)], but_not=()):
            return _start(trial, attempt, initialiser, self.workspace, self.data)
        return None

    def finish(self, starts: Sequence[_Start]) -> None:
        """Train all that could be initialised."""
        from initbench.training.trainer import Member, train
        from initbench.training.trainer import Progress as Evaluated

        def on_progress(position: int, now: Evaluated) -> None:
            key = starts[position].trial.key
            self.emit(
                Progress(self.job.id, key, now.step, now.total_steps, now.validation_accuracy)
            )

        members = [Member(start.network, start.trial.seed) for start in starts]
        trials = [(start.trial, start.attempt) for start in starts]
        with self._failures_of(trials, but_not=(UserError,)):
            outcomes = train(members, self.data, self.recipe, on_progress=on_progress)
            done = [
                _record(start, trained, self.data, self.recipe)
                for start, trained in zip(starts, outcomes, strict=True)
            ]
            for record, weights in done:
                self._spool(record, weights)

    @contextmanager
    def _failures_of(
        self, trials: Sequence[tuple[Trial, int]], but_not: tuple[type[Exception], ...]
    ) -> Iterator[None]:
        """Turn what a plugin or model raises into records.

        What is in `but_not` passes through, and so do a full disk and running out of memory: such
        a trial is lost, not failed.
        """
        meter = _meter(self.workspace.device)
        passing: tuple[type[Exception], ...] = (MemoryError, StoreError, *but_not)
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
        )

    def _spool(self, record: Record, weights: Mapping[str, torch.Tensor] | None) -> None:
        self.emit(Outcome(self.job.id, str(self.workspace.spool.put_record(record, weights))))


def _start(
    trial: Trial,
    attempt: int,
    initialiser: Initialiser[Any],
    workspace: Workspace,
    data: ResidentData,
) -> _Start:
    from initbench.plugin.apply import apply

    network, _ = _network(workspace, trial.model, trial.data, trial.seed)
    network.to(workspace.device)
    applied = apply(
        initialiser,
        network,
        _anatomy(network),
        seed=trial.seed,
        batch=_calibration_batch(initialiser, trial, data),
        artifact=_fitted_state(workspace, trial),
    )
    model = workspace.registry.model(trial.model.name, trial.model.config).thing
    return _Start(trial, attempt, model.laid_out(network), applied)


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
    initialiser: Initialiser[Any], trial: Trial, data: ResidentData
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
    start: _Start, trained: Trained, data: ResidentData, recipe: Recipe
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
        notes=start.applied.notes,
    )
    weights = {f"best.{name}": tensor for name, tensor in trained.best.items()}
    weights |= {f"last.{name}": tensor for name, tensor in trained.last.items()}
    return record, weights


def _budget(recipe: Recipe, data: ResidentData) -> int:
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
) -> tuple[torch.nn.Module, int]:
    """Build a network; what its constructor draws depends on the trial's seed alone."""
    built = _same_code(workspace.registry.model(model.name, model.config), model)
    dataset = workspace.registry.dataset(data.dataset.name, data.dataset.config).thing
    with shared_generators(stream_seed(seed, Stream.BUILD)):
        outcome = contained(lambda: built.build(dataset.channels, data.size, dataset.classes))
    return outcome.result(f"model `{model.name}`"), dataset.classes


def _anatomy(network: torch.nn.Module) -> Anatomy:
    from initbench.models.tracing import anatomy

    return anatomy(network)


def _meter(device: str) -> Meter:
    import torch

    from initbench.training.cost import Meter

    return Meter(torch.device(device))


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)


def _failure(error: Exception) -> Failure:
    log = "".join(traceback.format_exception(error))
    return Failure(
        kind=type(error).__name__, message=scrub(str(error))[:2000], log=scrub(log)[-20_000:]
    )
