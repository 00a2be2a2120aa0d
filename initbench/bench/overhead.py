"""Overhead: what records, curves and progress cost on top of the steps of a trial.

On one thread a network is trained by our trainer, as a worker of a run does: with the digest of the
order of images, looks for a NaN, curves, checkpoints that may be due, and events of progress as
JSON. In turns with it, the same step function is called in a bare loop, on batches cut in the same
way, with the same evaluations. What storing the record of a trial takes comes on top, once.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from initbench.bench.material import Material, first_images
from initbench.bench.series import alternate
from initbench.data.device_data import DeviceData, on_device
from initbench.execution.events import Progress, to_tree
from initbench.store.environment import environment
from initbench.store.identity import digest
from initbench.store.record import Record, Streams
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from initbench.training.checkpoint import Keeper
from initbench.training.evaluation import evaluate, has_batch_norm
from initbench.training.numerics import reproducible
from initbench.training.outcome import Member, Trained
from initbench.training.outcome import Progress as Evaluated
from initbench.training.recipe import Evaluation, Recipe
from initbench.training.schedule import total_steps
from initbench.training.trainer import Run, train

_FEWEST_STEPS = 4
_KEY = digest({"bench": "overhead"})


@dataclass(frozen=True)
class Overhead:
    """Seconds of a trial of the whole recipe, and what the harness adds to them."""

    loop: float
    """Share by which our loop takes longer than the bare one, evaluations included."""
    record_seconds: float
    """To write, verify and adopt the record and weights of a trial, in a temporary folder."""
    trial_seconds: float
    """All steps of the recipe in the bare loop, without evaluations."""

    @property
    def share(self) -> float:
        """The whole overhead."""
        return self.loop + self.record_seconds / self.trial_seconds


def overhead(material: Material, folder: Path, repeats: int, seconds: float) -> Overhead:
    """Measure the overhead of a trial of `material`, in a store below `folder`.

    Laps take about twice `seconds`, and four steps at least. The fastest laps of both sides are
    compared: whatever else a machine does only makes laps slower.
    """
    whole = material.splits()
    with _one_thread(), Store(folder / "results").lock("initbench bench") as writer:
        steps = _steps(material, 2 * seconds)
        few = first_images(whole, steps * material.recipe.batch_size, evaluated=2)
        data = on_device(few, material.device)
        recipe = material.recipe.model_copy(
            update={"epochs": 1, "evaluation": Evaluation(every=1, unit="epoch")}
        )
        trained: list[Trained] = []

        def bare() -> None:
            _bare(material.member(0, few), data, recipe)

        def ours() -> None:
            member = material.member(0, few)
            keeper = Keeper(writer.checkpoint(_KEY))
            trained[:] = train(
                [Member(member.network, member.seed, keeper)], data, recipe, on_progress=_told()
            )

        times = alternate({"bare": bare, "ours": ours}, 2 * repeats)
        fastest = min(times["bare"])
        return Overhead(
            loop=min(times["ours"]) / fastest - 1,
            record_seconds=median(_seconds_to_store(trained[0], writer) for _ in range(repeats)),
            trial_seconds=total_steps(material.recipe, len(whole.train)) * fastest / steps,
        )


def _bare(member: Member, data: DeviceData, recipe: Recipe) -> None:
    """Train for an epoch, evaluated as often as by our trainer, and write nothing down."""
    with reproducible(member.seed, data.device):
        run = Run(member, data, recipe)
        run.network.train()
        evaluate(run.network, data, "test")
        if has_batch_norm(run.network):
            evaluate(run.network, data, "validation", batch_statistics=True)
        evaluate(run.network, data, "validation")
        order = torch.randperm(len(data.train))
        for images, labels in data.batches_at("train", order.split(recipe.batch_size)):
            run.take_step(images, labels)
        evaluate(run.network, data, "validation")  # waits for the device


def _told() -> Callable[[int, Evaluated], None]:
    """Return what tells of progress as a worker does."""
    events = io.StringIO()

    def on_progress(_: int, now: Evaluated) -> None:
        scores = now.validation
        event = Progress(_KEY, _KEY, now.step, now.total_steps, scores.accuracy, scores.loss)
        events.write(json.dumps(to_tree(event)) + "\n")

    return on_progress


def _seconds_to_store(trained: Trained, writer: StoreWriter) -> float:
    weights = trained.tensors()
    start = time.perf_counter()
    record = Record(
        key=_KEY,
        identity={"bench": "overhead"},
        status=trained.status,
        curves=trained.curves,
        final=trained.numbers,
        best_index=trained.best_index,
        streams=Streams(initial_weights="", batch_order=trained.batch_order),
        cost=trained.cost,
        environment=environment(),
    )
    writer.adopt(Spool(writer.paths.spool / "bench").put_record(record, weights))
    passed = time.perf_counter() - start
    writer.delete(_KEY)
    return passed


def _steps(material: Material, seconds: float) -> int:
    """Return how many steps take about `seconds`."""
    size = material.recipe.batch_size
    splits = first_images(material.splits(), _FEWEST_STEPS * size, evaluated=2)
    data = on_device(splits, material.device)

    def one() -> float:
        start = time.perf_counter()
        _bare(material.member(0, splits), data, material.recipe)
        return time.perf_counter() - start

    one()
    most = len(material.splits().train) // size
    return min(max(round(_FEWEST_STEPS * seconds / one()), _FEWEST_STEPS), most)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
