"""Outcomes: what goes into training, and what is kept of each member on its way and at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from initbench.store.record import Cost, Curve, Failure, TrialStatus
from initbench.training.evaluation import Scores

if TYPE_CHECKING:
    from initbench.training.checkpoint import Keeper

State = dict[str, torch.Tensor]
"""A network's parameters and buffers by name, on the CPU, contiguous."""


@dataclass(frozen=True)
class Member:
    """A network with its starting weights, the seed of its trial, and who keeps its checkpoints."""

    network: torch.nn.Module
    seed: int
    keeper: Keeper | None = None


@dataclass(frozen=True)
class Progress:
    """Where a member stands, told at each of its evaluations."""

    seed: int
    step: int
    total_steps: int
    epoch: float
    validation_accuracy: float


@dataclass(frozen=True)
class Trained:
    """What became of a member.

    Curves have one entry for each evaluation; `train_loss` is the mean over the steps since the
    last evaluation and `learning_rate` that of the last step, so both begin with None.
    State dictionaries are copies on the CPU. A member that diverged has the curves up to then.
    """

    seed: int
    status: TrialStatus  # done or diverged
    failure: Failure | None
    curves: dict[str, Curve]
    best_index: int  # of the evaluation whose checkpoint is `best`
    best: State
    last: State
    numbers: dict[str, float]  # final numbers that are known already
    batch_order: str  # SHA-256 of the indices of all training images, in the order they were used
    cost: Cost
    attempt_notes: list[str] = field(default_factory=list)  # of checkpoints gone on from


@dataclass(frozen=True)
class Point:
    """One evaluation."""

    step: int
    validation: Scores
    train_loss: float | None
    learning_rate: float | None


@dataclass
class History:
    """The evaluations of one member so far, and its best checkpoint.

    The best is the first with the highest validation accuracy, the network before training
    included, as in the code of Harder et al., 2023.
    """

    points: list[Point] = field(default_factory=list)
    best_index: int = 0
    best: State = field(default_factory=dict)

    def add(self, point: Point, state: Callable[[], State]) -> None:
        """Note an evaluation; `state` is asked for the checkpoint if it is the best so far."""
        if self.would_be_best(point.validation.accuracy):
            self.best_index = len(self.points)
            self.best = state()
        self.points.append(point)

    def would_be_best(self, accuracy: float) -> bool:
        """Say whether an evaluation with this accuracy would be better than all so far."""
        return not self.points or accuracy > self.points[self.best_index].validation.accuracy

    def numbers(self, *, complete: bool) -> dict[str, float]:
        """Return the final numbers that the evaluations give."""
        accuracies = [point.validation.accuracy for point in self.points]
        numbers = {"validation_accuracy.initial": accuracies[0]}
        if complete:
            numbers["validation_accuracy.best"] = accuracies[self.best_index]
            numbers["validation_accuracy.last"] = accuracies[-1]
        return numbers

    def curves(self, steps_per_epoch: int) -> dict[str, Curve]:
        """Return the curves of a record; what is not finite is left open."""
        steps = [point.step for point in self.points]
        epochs = [step / steps_per_epoch for step in steps]

        def curve(values: Iterable[float | None]) -> Curve:
            defined = [x if x is not None and math.isfinite(x) else None for x in values]
            return Curve(steps=steps, epochs=epochs, values=defined)

        return {
            "validation_accuracy": curve(point.validation.accuracy for point in self.points),
            "validation_loss": curve(point.validation.loss for point in self.points),
            "train_loss": curve(point.train_loss for point in self.points),
            "learning_rate": curve(point.learning_rate for point in self.points),
        }


def initial_numbers(test: Scores, with_batch_statistics: Scores | None = None) -> dict[str, float]:
    """Return the final numbers that are known before training.

    They come from the test split and, where a network has batch norm, from the validation split
    with the statistics of each batch.
    """
    numbers = {"test_accuracy.initial": test.accuracy, "test_loss.initial": test.loss}
    if with_batch_statistics is not None:
        numbers["validation_accuracy.initial_batch_statistics"] = with_batch_statistics.accuracy
    return numbers


def tested_numbers(epoch: int, test: Scores) -> dict[str, float]:
    """Return the final numbers that the test split gives at the end of an epoch."""
    return {f"test_accuracy.epoch_{epoch}": test.accuracy, f"test_loss.epoch_{epoch}": test.loss}


def state_of(network: torch.nn.Module) -> State:
    """Return a copy of a network's state."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
