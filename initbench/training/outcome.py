"""Outcomes: what goes into training, and what is kept of each member on its way and at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from initbench.store.record import Cost, Curve, Failure, LayerCurves, TrialStatus
from initbench.training.evaluation import Scores

if TYPE_CHECKING:
    from initbench.training.checkpoint import Keeper
    from initbench.training.watch import LayerNumbers

State = dict[str, torch.Tensor]
"""A network's parameters and buffers by name, on the CPU, contiguous."""

Kept = dict[int, State]
"""The states after those epochs that the recipe asks for (0: before training), by epoch, rising."""


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
    validation: Scores


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
    kept: Kept = field(default_factory=dict)
    layers: LayerCurves | None = None  # where the recipe watches them

    def tensors(self) -> State:
        """Return all states by name, after `best.`, `last.` and, (epochs, ...), `kept.`."""
        groups = {"best": self.best, "last": self.last, "kept": stacked(list(self.kept.values()))}
        return {f"{which}.{name}": x for which, xs in groups.items() for name, x in xs.items()}


@dataclass(frozen=True)
class Point:
    """One evaluation."""

    step: int
    validation: Scores
    train_loss: float | None
    learning_rate: float | None
    layers: LayerNumbers = field(default_factory=dict)


@dataclass
class History:
    """The evaluations of one member so far, its best checkpoint, and those to be kept.

    The best is the first with the highest validation accuracy, the network before training
    included, as in the code of Harder et al., 2023; in a regression, with the lowest loss.
    """

    points: list[Point] = field(default_factory=list)
    best_index: int = 0
    best: State = field(default_factory=dict)
    kept: Kept = field(default_factory=dict)

    def add(self, point: Point, state: Callable[[], State], kept_epoch: int | None = None) -> None:
        """Note an evaluation; `state` is asked for the checkpoint if it is the best so far.

        It is also asked for the one that is to be kept as that after `kept_epoch`.
        """
        if self.would_be_best(point.validation):
            self.best_index = len(self.points)
            self.best = state()
        if kept_epoch is not None:
            self.kept[kept_epoch] = state()
        self.points.append(point)

    def would_be_best(self, validation: Scores) -> bool:
        """Say whether an evaluation with these scores would be better than all so far."""
        return not self.points or validation.merit > self.points[self.best_index].validation.merit

    def numbers(self, *, complete: bool) -> dict[str, float]:
        """Return the final numbers that the evaluations give."""
        at = {"initial": 0}
        if complete:
            at |= {"best": self.best_index, "last": -1}
        scores = {which: self.points[index].validation for which, index in at.items()}
        return {
            f"validation_accuracy.{which}": found.accuracy
            for which, found in scores.items()
            if found.accuracy is not None
        }

    def curves(self, steps_per_epoch: int) -> dict[str, Curve]:
        """Return the curves of a record; what is not finite is left open."""
        steps = [point.step for point in self.points]
        epochs = [step / steps_per_epoch for step in steps]

        def curve(values: Iterable[float | None]) -> Curve:
            defined = [x if x is not None and math.isfinite(x) else None for x in values]
            return Curve(steps=steps, epochs=epochs, values=defined)

        curves = {
            "validation_accuracy": curve(point.validation.accuracy for point in self.points),
            "validation_loss": curve(point.validation.loss for point in self.points),
            "train_loss": curve(point.train_loss for point in self.points),
            "learning_rate": curve(point.learning_rate for point in self.points),
        }
        if self.points and self.points[0].validation.accuracy is None:
            del curves["validation_accuracy"]
        return curves

    def layer_curves(self, layers: list[str], steps_per_epoch: int) -> LayerCurves:
        """Return what was seen of `layers`; what is not finite is left open."""
        steps = [point.step for point in self.points]
        quantities = dict.fromkeys(name for point in self.points for name in point.layers)

        def curve(quantity: str, layer: int) -> list[float | None]:
            numbers = (point.layers[quantity][layer] for point in self.points)
            return [x if math.isfinite(x) else None for x in numbers]

        return LayerCurves(
            layers=layers,
            steps=steps,
            epochs=[step / steps_per_epoch for step in steps],
            values={q: [curve(q, layer) for layer in range(len(layers))] for q in quantities},
        )


def initial_numbers(test: Scores, with_batch_statistics: Scores | None = None) -> dict[str, float]:
    """Return the final numbers that are known before training.

    They come from the test split and, where a network has batch norm, from the validation split
    with the statistics of each batch.
    """
    numbers = test_numbers("initial", test)
    if with_batch_statistics is not None and with_batch_statistics.accuracy is not None:
        numbers["validation_accuracy.initial_batch_statistics"] = with_batch_statistics.accuracy
    return numbers


def tested_numbers(epoch: int, test: Scores) -> dict[str, float]:
    """Return the final numbers that the test split gives at the end of an epoch."""
    return test_numbers(f"epoch_{epoch}", test)


def test_numbers(which: str, test: Scores) -> dict[str, float]:
    """Return the final numbers of the weights that are called `which`."""
    numbers = {f"test_loss.{which}": test.loss}
    if test.accuracy is not None:
        numbers[f"test_accuracy.{which}"] = test.accuracy
    return numbers


def state_of(network: torch.nn.Module) -> State:
    """Return a copy of a network's state."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }


def stacked(states: Sequence[State]) -> State:
    """Return states of one network as one: each tensor (states, ...); empty for no states."""
    names = states[0] if states else ()
    return {name: torch.stack([state[name] for state in states]) for name in names}


def unstacked(tensors: State, epochs: Sequence[int]) -> Kept:
    """Return the states, one an epoch, that `stacked` made one of, as views."""
    return {epoch: {n: x[i] for n, x in tensors.items()} for i, epoch in enumerate(epochs)}
