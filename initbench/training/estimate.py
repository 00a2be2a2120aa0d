"""Estimates: how long a trial will take, from a few real steps on made-up images."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from initbench.data.dataset import ImageSplits, Split
from initbench.data.resident import ResidentData
from initbench.training.evaluation import evaluate
from initbench.training.numerics import reproducible
from initbench.training.outcome import Member
from initbench.training.recipe import Constant, Recipe
from initbench.training.schedule import evaluation_steps, total_steps
from initbench.training.stackable import why_not_stackable
from initbench.training.stacked_run import StackedRun
from initbench.training.trainer import Run, check_recipe

_ENOUGH_SECONDS = 0.15  # of measuring: once for steps, once for evaluations


@dataclass(frozen=True)
class DataShape:
    """What of a data set decides how long training takes: numbers of images and their size."""

    train: int
    validation: int
    test: int
    channels: int
    image_size: int
    classes: int

    @classmethod
    def of(cls, splits: ImageSplits) -> DataShape:
        return cls(
            train=len(splits.train),
            validation=len(splits.validation),
            test=len(splits.test),
            channels=splits.channels,
            image_size=splits.image_size,
            classes=splits.classes,
        )


def seconds_per_trial(network: torch.nn.Module, shape: DataShape, recipe: Recipe) -> float:
    """Return the CPU seconds that a trial takes on one thread, evaluations included.

    Times steps and evaluations of a copy of `network` on random images: at least two of each, for
    less than half a second in all where the network is small. Raises UserError where the recipe
    does not fit the data.
    """
    check_recipe(recipe, shape.train, torch.device("cpu"))
    with _measuring(network, shape, recipe) as run:
        step_seconds = _seconds_per_step(run)
        evaluation_seconds = _seconds(lambda: evaluate(run.network, run.data, "validation"))
    return (
        total_steps(recipe, shape.train) * step_seconds
        + images_evaluated(shape, recipe) * evaluation_seconds / recipe.batch_size
    )


def images_evaluated(shape: DataShape, recipe: Recipe) -> int:
    """Return how many images a trial is evaluated on, over all its evaluations."""
    evaluations = len(evaluation_steps(recipe, shape.train))
    return evaluations * shape.validation + 3 * shape.test  # initial, best and last


def seconds_per_step(network: torch.nn.Module, shape: DataShape, recipe: Recipe) -> float:
    """Return the CPU seconds that a step of a copy of `network` takes on one thread."""
    with _measuring(network, shape, recipe) as run:
        return _seconds_per_step(run)


def seconds_per_stacked_step(
    network: torch.nn.Module, shape: DataShape, recipe: Recipe, members: int
) -> float | None:
    """Return the CPU seconds that a step of a stack of copies takes on one thread, per member.

    None where `network` cannot be in a stack.
    """
    batches = 2
    data = _random_images(shape, count=batches * recipe.batch_size)
    copies = [Member(copy.deepcopy(network), seed) for seed in range(members)]
    alike = recipe.model_copy(update={"schedule": Constant(), "continual": None})
    with _one_thread(), reproducible(0, data.device):
        if why_not_stackable(copies, data, alike) is not None:
            return None
        run = StackedRun(copies, data, alike)
        run.stack.network.train()

        def epoch() -> None:
            run.batches.start()
            for _ in range(batches):
                run.take_step(recipe.batch_size)

        return _seconds(epoch) / batches / members


@contextmanager
def _measuring(network: torch.nn.Module, shape: DataShape, recipe: Recipe) -> Iterator[Run]:
    """Give a run of a copy of `network` on random images, on one thread."""
    data = _random_images(shape, count=recipe.batch_size)
    # The real schedule, and the tasks, are for more steps.
    alike = recipe.model_copy(update={"schedule": Constant(), "continual": None})
    with _one_thread(), reproducible(0, data.device):
        yield Run(Member(copy.deepcopy(network), seed=0), data, alike)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds_per_step(run: Run) -> float:
    indices = torch.arange(run.recipe.batch_size)
    return _seconds(lambda: run.take_step(*run.data.batch("train", indices)))


def _random_images(shape: DataShape, count: int) -> ResidentData:
    draws = torch.Generator().manual_seed(0)
    size = (count, shape.channels, shape.image_size, shape.image_size)
    split = Split(
        images=torch.randint(0, 256, size, generator=draws, dtype=torch.uint8),
        labels=torch.randint(0, shape.classes, (count,), generator=draws),
        ids=torch.arange(count),
    )
    mean, std = (0.5,) * shape.channels, (0.25,) * shape.channels
    return ResidentData.of(ImageSplits(split, split, split, shape.classes, mean, std))


def _seconds(work: Callable[[], object]) -> float:
    """Return the mean CPU time of one call, after a first one that is not counted."""
    work()
    calls = 0
    start = time.process_time()
    while (passed := time.process_time() - start) < _ENOUGH_SECONDS:
        work()
        calls += 1
    return passed / calls
