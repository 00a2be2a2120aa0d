"""Training: the plain PyTorch loop, our trainer, and our trainer with stacks, side by side.

What is timed are steps on training images, batches included; ours evaluate two images at the end
of each round besides. Before the clock starts, all three loops are shown to compute the same: the
losses of the first steps, from the same weights, with the same images in the same order, are equal
to rounding.

The plain loop has all cores to itself: as PyTorch comes, and tuned, with as many threads and loader
workers as are fastest here. Ours has one thread a process, as in a run. On a CPU as many processes
train at once as a run would have workers; for comparison so do plain loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from initbench.bench.ceilings import Ceilings, Demand, ceilings, demand
from initbench.bench.equality import check_equal
from initbench.bench.figure import Figure
from initbench.bench.images import images_of
from initbench.bench.laps import Way
from initbench.bench.material import Material
from initbench.bench.overhead import Overhead, overhead
from initbench.bench.series import alternate
from initbench.bench.sides import OutOfMemoryError, Side
from initbench.bench.tasks import Task
from initbench.data.files import Report, silent
from initbench.data.image_files import cores
from initbench.execution.speeds import Kind, Speeds
from initbench.plugin.registry import Registry
from initbench.training.allocator import keep_freed_memory
from initbench.training.trainer import check_recipe

MOST_PROCESSES = 16
"""Networks trained at once on a CPU unless more are asked for, where it has as many cores."""


@dataclass(frozen=True)
class TrainingFigure(Figure):
    """A side of the comparison; the unit is one image seen by one network."""

    stack: int = 0  # networks in a stack; 1 without stacks, 0 for the plain loop
    networks: int = 1  # that trained at once
    batch_size: int = 1
    precision: str = "float32"
    peak_bytes: int = 0
    """Of all processes of the side together, torch itself included; on a GPU, of its memory."""
    of_matrix_ceiling: float = 0.0
    of_bandwidth_ceiling: float = 0.0

    @property
    def step_seconds(self) -> float:
        """Seconds that a step of one network takes one worker, while all workers are busy."""
        workers = self.networks / max(self.stack, 1)
        return workers * self.batch_size / self.rate


@dataclass(frozen=True)
class TrainingFigures:
    """What the benchmark found."""

    device: str
    ceilings: Ceilings
    figures: list[TrainingFigure] = field(default_factory=list)
    # By task:
    demands: dict[str, Demand] = field(default_factory=dict)
    overheads: dict[str, Overhead] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "device": self.device,
            "figures": [asdict(figure) | {"rate": figure.rate} for figure in self.figures],
            "ceilings": asdict(self.ceilings),
            "demands": {task: asdict(demand) for task, demand in self.demands.items()},
            "overheads": {
                task: asdict(found) | {"share": found.share}
                for task, found in self.overheads.items()
            },
        }

    def remember(self) -> None:
        """Keep our speeds for estimates and calibrations, those with all workers busy."""
        speeds = Speeds("cpu" if self.device == "cpu" else torch.cuda.get_device_name())
        for task, kind in self.kinds.items():
            ours = [figure for figure in self.figures if figure.what == task and figure.stack]
            # Of the two sides without a stack, the one with several networks at once is the last.
            speeds.put(kind, {figure.stack: figure.step_seconds for figure in ours})


def training_figures(
    root: Path | None,
    tasks: Sequence[Task],
    *,
    device: str = "cpu",
    stacks: Sequence[int] | None = None,
    workers: int | None = None,
    repeats: int = 5,
    seconds: float = 0.5,
    report: Report = silent,
) -> TrainingFigures:
    """Return models x images a second of all sides, the plain loop first in each task.

    Args:
        root: data folder; generated images take the place of a data set that cannot be read there.
        tasks: what is trained.
        device: `cpu` or `cuda`.
        stacks: networks in a stack (left out: those of each task).
        workers: processes that train at once on a CPU (left out: one a core, 16 at most).
        repeats: laps timed on each side.
        seconds: about how long a lap takes.
        report: is told before each step.

    Raises UserError where a task does not fit its data, InitbenchError where two sides do not
    compute the same.
    """
    keep_freed_memory()
    registry = Registry.installed()
    total = 1 + 3 * len(tasks)
    report("ceilings of this device", 0, total)
    found = TrainingFigures(device, ceilings(torch.device(device)))
    for done, task in enumerate(tasks):
        report(f"{task.what}: are all sides equal?", 1 + 3 * done, total)
        model, recipe = task.resolved(registry)
        splits, note = images_of(task.dataset, root, size=model.thing.image_size())
        check_recipe(recipe, len(splits.train), torch.device(device))
        check_equal(model, recipe, splits, device)
        network = model.thing.build(splits.channels, splits.image_size, splits.classes)
        shape = (splits.channels, splits.image_size, splits.image_size)
        asked = demand(network, shape, splits.classes, recipe)
        found.demands[task.what] = asked
        found.kinds[task.what] = Kind(
            model=model.reference.tree(),
            channels=splits.channels,
            image_size=splits.image_size,
            classes=splits.classes,
            batch_size=recipe.batch_size,
            precision=recipe.precision,
        )
        with TemporaryDirectory(prefix="initbench-training-") as folder:
            material = Material.written(model.thing, recipe, splits, device, Path(folder))
            report(f"{task.what}: training in turns", 2 + 3 * done, total)
            chosen = ways(task, device, stacks, workers)
            for figure in _timed(task.what, chosen, material, repeats, seconds, note):
                found.figures.append(_with_shares(figure, asked, found.ceilings))
            report(f"{task.what}: what records and curves cost", 3 + 3 * done, total)
            found.overheads[task.what] = overhead(material, Path(folder), repeats, seconds)
    report("all tasks", total, total)
    return found


def ways(
    task: Task, device: str, stacks: Sequence[int] | None = None, workers: int | None = None
) -> list[Way]:
    """Return how a task is done, the plain loop first."""
    on_gpu = device == "cuda"
    processes = 1 if on_gpu else workers or min(cores(), MOST_PROCESSES)
    base = task.gpu_steps if on_gpu else task.steps
    chosen = stacks if stacks is not None else task.gpu_stacks if on_gpu else task.stacks
    plain, ours = Way("plain", steps=max(base // 5, 1)), Way("ours", steps=base)
    found = [plain, replace(plain, loop="tuned")]
    if processes > 1:
        found.append(replace(plain, processes=processes))
    found.append(ours)
    if processes > 1:
        found.append(replace(ours, processes=processes))
    for size in chosen:
        steps = base if on_gpu else max(base // size, 1)
        found.append(Way("stacked", processes, networks=size, steps=steps))
    return found


def _timed(
    what: str,
    chosen: Sequence[Way],
    material: Material,
    repeats: int,
    seconds: float,
    note: str,
) -> Iterator[TrainingFigure]:
    """Yield a figure of each way that has enough memory."""
    notes = [note] if note else []
    with ExitStack() as stack:
        sides = {}
        for way in chosen:
            side = stack.enter_context(Side(way, material))
            try:
                side.prepare(seconds)
            except OutOfMemoryError as problem:
                notes.append(f"{way.side} was left out: {problem}")
                side.__exit__()
            else:
                sides[way.side] = side
        times = alternate({label: side.lap for label, side in sides.items()}, repeats)
    for label, side in sides.items():
        way = side.way
        yield TrainingFigure(
            what=what,
            side=label,
            seconds=tuple(times[label]),
            amount=side.amount,
            unit="images",
            note="; ".join([*([f"{label}: {side.note}"] if side.note else []), *notes]),
            stack=way.networks if way.loop in ("ours", "stacked") else 0,
            networks=way.processes * way.networks,
            batch_size=material.recipe.batch_size,
            precision=material.recipe.precision,
            peak_bytes=side.peak_bytes,
        )


def _with_shares(figure: TrainingFigure, each: Demand, most: Ceilings) -> TrainingFigure:
    return replace(
        figure,
        of_matrix_ceiling=figure.rate * each.operations / most.operations[figure.precision],
        of_bandwidth_ceiling=figure.rate * each.bytes / most.bandwidth,
    )
