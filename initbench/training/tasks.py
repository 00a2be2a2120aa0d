"""Tasks that follow each other: the data of each, and how well those so far are known.

Source: von Oswald et al. 2020, "Continual learning with hypernetworks", equations 1 and 2; Chang et
al. 2020, appendix B.2. A task has an embedding e(t) of its own; the generator, with the parameters
theta, makes from it the weights h(e(t), theta) of the main network. A step on task t, at rate r:

    e(t)   <- e(t)  - r dL_t / de(t)
    theta' <- theta - r dL_t / dtheta                                the tentative step
    R       = mean over k < t of |h(e(k), theta') - h(e(k), theta at the end of task t - 1)|^2
    theta  <- theta' - r beta dR / dtheta'

The two lines about theta are the authors' one step along the sum of both gradients, the second of
which they take at the tentative parameters; with plain SGD it comes to this. Earlier embeddings are
frozen, those of later tasks not yet touched. Plain SGD has no state, so a new optimiser for each
task, as in their code, is what there is anyway.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from initbench.data.device_data import DeviceData
from initbench.data.resident import ResidentData, ResidentSplit
from initbench.errors import MisfitError
from initbench.models.hypernetwork.network import GeneratedNetwork
from initbench.training.evaluation import Scores
from initbench.training.objectives import guessing_numbers, objective_of
from initbench.training.outcome import test_numbers
from initbench.training.recipe import Recipe


class Tasks:
    """The tasks of a recipe, each with its part of the data."""

    def __init__(self, data: DeviceData, recipe: Recipe, steps_per_epoch: int) -> None:
        assert recipe.continual is not None
        self.beta = recipe.continual.output_regulariser
        self.steps = recipe.epochs * steps_per_epoch  # of each task
        self.parts = _parts(data, recipe.tasks)

    def at(self, step: int) -> int:
        """Return the task that a step belongs to; that of the last one at the end."""
        return min(step // self.steps, len(self.parts) - 1)

    def begins(self, step: int) -> bool:
        """Say whether a step is the first of its task."""
        return step % self.steps == 0

    def so_far(self, step: int) -> list[DeviceData]:
        """Return the parts that were trained on before a step; at the start the first."""
        return self.parts[: max(-(-step // self.steps), 1)]

    def guessing(self) -> dict[str, float]:
        """Return the losses of guessing on each task."""
        return {
            name.replace("_loss.", f"_loss.task_{k}."): loss
            for k, part in enumerate(self.parts, start=1)
            for name, loss in guessing_numbers(objective_of(part), part).items()
        }


def mean_of(scores: list[Scores]) -> Scores:
    """Return the scores on several tasks of equal size together."""
    right = [one.accuracy for one in scores if one.accuracy is not None]
    loss = sum(one.loss for one in scores) / len(scores)
    return Scores(sum(right) / len(right) if right else None, loss)


def numbers_after(scores: list[Scores]) -> dict[str, float]:
    """Return the test numbers of each task so far, at the end of the last of them."""
    named = [f"task_{k}.after_{len(scores)}" for k in range(1, len(scores) + 1)]
    found = [test_numbers(name, one) for name, one in zip(named, scores, strict=True)]
    return {name: value for numbers in found for name, value in numbers.items()}


def check_network(network: torch.nn.Module, tasks: int) -> None:
    """Raise MisfitError where a network has no generated weights for each of so many tasks."""
    if not isinstance(network, GeneratedNetwork) or network.tasks != tasks:
        raise MisfitError(
            f"recipe: `continual` has {tasks} tasks, and so needs a model with generated weights "
            f"for each of them: `{{name: hypernetwork, tasks: {tasks}, ...}}`"
        )


def _parts(data: DeviceData, tasks: int) -> list[DeviceData]:
    """Return the data of each task; they lie one after another in every split."""
    if not isinstance(data, ResidentData):
        raise MisfitError("recipe: `continual` needs data in memory, got image files")

    def part(split: ResidentSplit, k: int) -> ResidentSplit:
        count = len(split) // tasks
        at = slice(k * count, (k + 1) * count)
        return ResidentSplit(split.images[at], split.labels[at], split.ids[at])

    return [
        replace(
            data,
            train=part(data.train, k),
            validation=part(data.validation, k),
            test=part(data.test, k),
        )
        for k in range(tasks)
    ]
