"""Training: the plain PyTorch loop, our trainer, and our trainer with stacks, side by side.

What is timed are steps on training images, batches included; ours evaluate two images at the end
of each round besides. Before the clock starts, all three loops are shown to compute the same: the
losses of the first steps, from the same weights, with the same images in the same order, are equal
to rounding.

The plain loop has all cores to itself, with as many threads and loader workers as are fastest here;
notes say which were tried. Ours has one thread a process, as in a run. On a CPU several processes
train at once, one a core, as the workers of a run do; for comparison so do plain loops, without
loader workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

from initbench.bench.ceilings import Ceilings, Demand, ceilings, demand
from initbench.bench.equality import check_equal
from initbench.bench.figure import Figure
from initbench.bench.images import images_of
from initbench.bench.series import alternate
from initbench.bench.sides import Material, OutOfMemoryError, Side, Way, first_images
from initbench.data.dataset import ImageSplits
from initbench.data.files import Report, silent
from initbench.data.image_files import cores
from initbench.data.prepared import to_tensors
from initbench.data.sets.cifar10 import CIFAR10
from initbench.data.sets.mnist import MNIST
from initbench.errors import unknown_name
from initbench.execution.speeds import Kind, Speeds
from initbench.plugin.registry import Registry, Resolved
from initbench.training.recipe import Recipe

MOST_PROCESSES = 4
"""Networks trained at once on a CPU, where it has as many cores."""


@dataclass(frozen=True)
class Task:
    """One network on one data set with one recipe."""

    what: str
    model: str
    dataset: MNIST | CIFAR10
    recipe: str
    batch_size: int
    steps: int
    """Of our loop with one network in a round: so many that evaluations do not count."""
    stacks: tuple[int, ...]
    gpu_stacks: tuple[int, ...]
    gpu_steps: int


TASKS: dict[str, Task] = {
    "zoo_cnn_128": Task(
        what="zoo CNN, MNIST, batches of 128",
        model="zoo_cnn",
        dataset=MNIST(MNIST.Config()),
        recipe="schuerholt2022_mnist",
        batch_size=128,
        steps=100,
        stacks=(5, 25, 100),
        gpu_stacks=(5, 25, 100, 1000),
        gpu_steps=200,
    ),
    "zoo_cnn_10": Task(
        what="zoo CNN, MNIST, batches of 10",
        model="zoo_cnn",
        dataset=MNIST(MNIST.Config()),
        recipe="schuerholt2022_mnist",
        batch_size=10,
        steps=400,
        stacks=(5, 25, 100),
        gpu_stacks=(5, 25, 100, 1000),
        gpu_steps=400,
    ),
    "resnet20_128": Task(
        what="ResNet-20, CIFAR-10, batches of 128",
        model="cifar_resnet",
        dataset=CIFAR10(CIFAR10.Config()),
        recipe="harder2023_cifar10",
        batch_size=128,
        steps=2,
        stacks=(5,),  # larger ones take minutes a lap
        gpu_stacks=(5, 25, 100),
        gpu_steps=50,
    ),
}
"""Tasks by the name that selects them."""


@dataclass(frozen=True)
class TrainingFigure(Figure):
    """A side of the comparison; the unit is one image seen by one network."""

    task: str = ""
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
    figures: list[TrainingFigure]
    ceilings: Ceilings
    demands: dict[str, Demand]  # by task
    kinds: dict[str, Kind]  # by task

    def tree(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "device": self.device,
            "figures": [asdict(figure) | {"rate": figure.rate} for figure in self.figures],
            "ceilings": asdict(self.ceilings),
            "demands": {task: asdict(demand) for task, demand in self.demands.items()},
        }

    def remember(self) -> None:
        """Keep our speeds for estimates and calibrations, those with all workers busy."""
        speeds = Speeds("cpu" if self.device == "cpu" else torch.cuda.get_device_name())
        for task, kind in self.kinds.items():
            ours = [figure for figure in self.figures if figure.task == task and figure.stack]
            # Of the two sides without a stack, the one with several networks at once is the last.
            speeds.put(kind, {figure.stack: figure.step_seconds for figure in ours})


def training_figures(
    root: Path | None,
    *,
    device: str = "cpu",
    tasks: Sequence[str] = tuple(TASKS),
    stacks: Sequence[int] | None = None,
    repeats: int = 5,
    seconds: float = 0.5,
    report: Report = silent,
) -> TrainingFigures:
    """Return models x images a second of all sides, the plain loop first in each task.

    Args:
        root: data folder; generated images take the place of a data set that cannot be read there.
        device: `cpu` or `cuda`.
        tasks: names out of `TASKS`.
        stacks: networks in a stack (left out: those of each task).
        repeats: laps timed on each side.
        seconds: about how long a lap takes.
        report: is told before each step.

    Raises UserError for unknown tasks, InitbenchError where two sides do not compute the same.
    """
    for name in tasks:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
    registry = Registry.installed()
    total = 1 + 2 * len(tasks)
    report("ceilings of this device", 0, total)
    most = ceilings(torch.device(device))
    figures: list[TrainingFigure] = []
    demands, kinds = {}, {}
    for done, (name, task) in enumerate((name, TASKS[name]) for name in tasks):
        model, recipe = registry.model(task.model), _recipe(task, registry)
        report(f"{task.what}: are all sides equal?", 1 + 2 * done, total)
        splits, note = images_of(task.dataset, root)
        check_equal(model, recipe, splits, device)
        shape = (splits.channels, splits.image_size, splits.image_size)
        network = model.thing.build(splits.channels, splits.image_size, splits.classes)
        demands[name] = demand(network, shape, splits.classes, recipe)
        kinds[name] = Kind(
            model=model.reference.tree(),
            channels=splits.channels,
            image_size=splits.image_size,
            classes=splits.classes,
            batch_size=recipe.batch_size,
            precision=recipe.precision,
        )
        report(f"{task.what}: training in turns", 2 + 2 * done, total)
        with TemporaryDirectory(prefix="initbench-training-") as folder:
            material = _material(model, recipe, splits, device, Path(folder))
            timed = _timed(name, ways(task, device, stacks), material, repeats, seconds, note)
            figures += [_with_shares(figure, demands[name], most) for figure in timed]
    report("all tasks", total, total)
    return TrainingFigures(device, figures, most, demands, kinds)


def ways(task: Task, device: str, stacks: Sequence[int] | None = None) -> list[Way]:
    """Return how a task is done, the plain loop first."""
    on_gpu = device == "cuda"
    processes = 1 if on_gpu else min(cores(), MOST_PROCESSES)
    base = task.gpu_steps if on_gpu else task.steps
    chosen = stacks if stacks is not None else task.gpu_stacks if on_gpu else task.stacks
    plain, ours = Way("plain", steps=max(base // 5, 1)), Way("ours", steps=base)
    found = [plain]
    if processes > 1:
        found.append(replace(plain, processes=processes))
    found.append(ours)
    if processes > 1:
        found.append(replace(ours, processes=processes))
    for size in chosen:
        steps = base if on_gpu else max(base // size, 1)
        found.append(Way("stacked", processes, networks=size, steps=steps))
    return found


def _recipe(task: Task, registry: Registry) -> Recipe:
    return registry.recipe(task.recipe, {"batch_size": task.batch_size})


def _material(
    model: Resolved[Any], recipe: Recipe, splits: ImageSplits, device: str, folder: Path
) -> Material:
    """Write the images for all processes, of all but the training split two only."""
    tensors, description = to_tensors(first_images(splits, len(splits.train), evaluated=2))
    path = folder / "images.safetensors"
    save_file(tensors, path)
    return Material(model.thing, recipe, path, description, device)


def _timed(
    name: str,
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
            what=TASKS[name].what,
            side=label,
            seconds=tuple(times[label]),
            amount=side.amount,
            unit="images",
            note="; ".join([*([f"{label}: {side.note}"] if side.note else []), *notes]),
            task=name,
            stack=0 if way.loop == "plain" else way.networks,
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
