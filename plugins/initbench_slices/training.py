"""Training the slice models of all layers at once, each on its own slices for its own epochs.

All models of a stack take a step at the same time, each with a batch of its own; a model that is
done leaves. What becomes of a model does not depend on the others, except for rounding: order
and noise come from a generator of its own. Its rate falls linearly, once an epoch, and the
parameters with the best held-out loss are kept (Harder et al. 2023).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from initbench.api import PluginError
from initbench_slices.slices import LayerSlices
from initbench_slices.stacking import Parameters, Start, draw, unpack

if TYPE_CHECKING:
    from initbench_slices.initialiser import ModelConfig

BATCH = 128
_ROWS_AT_ONCE = 2048  # of each model, where nothing is learnt; noise is drawn in such parts
_LEAST_BETWEEN = 25  # steps; fewer than any published epoch has

EPOCHS = {48: 150, 256: 45, 512: 25, 1024: 10, 2048: 7, 4096: 4}
"""Slices of one network in a layer -> epochs, in the authors' code; the paper has none."""


class SliceModel(ABC):
    """A model of rows: what is trained here."""

    rate: float
    """Of Adam, in the first epoch."""
    weight_decay: float
    """Coupled: added to the gradient, times the parameters."""
    averaged: bool
    """Whether a batch's loss is the mean or the sum of those of its rows."""
    noise: int = 0
    """Normal numbers that the loss of a row wants."""

    @abstractmethod
    def starts(self) -> Mapping[str, Start]:
        """Return the parameters of one model and how they are drawn."""

    @abstractmethod
    def losses(self, parameters: Parameters, rows: Tensor, noise: Tensor) -> Tensor:
        """Return the loss of each row.

        Args:
            parameters: by name, each (models, *shape).
            rows: (models, rows, ...).
            noise: standard normal, (models, rows, `noise`).

        Returns:
            (models, rows).
        """


@dataclass(frozen=True)
class Lesson:
    """What one model learns from: rows to train on, rows held out, and for how many epochs."""

    name: str
    train: Tensor
    held_out: Tensor
    epochs: int
    generator: torch.Generator

    @property
    def batches(self) -> int:
        return -(-len(self.train) // BATCH)

    @property
    def steps(self) -> int:
        return self.batches * self.epochs

    def is_judged_after(self, steps: int) -> bool:
        """Say whether held-out rows are looked at: at the end of each epoch, if it is not short."""
        between = self.batches * -(-_LEAST_BETWEEN // self.batches)
        return steps % between == 0 or steps == self.steps


def epochs(slices_a_network: int, rows: int, least_steps: int, scale: float = 1) -> int:
    """Return for how many epochs to train on `rows` slices.

    That is the entry of the authors' table whose number of slices is nearest (by ratio), times
    `scale`, or more where this would be fewer than `least_steps` steps.
    """
    nearest = min(EPOCHS, key=lambda known: abs(math.log(known / slices_a_network)))
    # As a fraction, because 0.29 * 100 is a little less than 29.
    scaled = max(1, math.floor(EPOCHS[nearest] * Fraction(str(scale))))
    return max(scaled, -(-least_steps // -(-rows // BATCH)))


def lessons(
    layers: Sequence[LayerSlices],
    standardise: bool,
    length: ModelConfig,
    generator: torch.Generator,
) -> tuple[list[Lesson], Tensor]:
    """Return what the models of some layers learn from, and what slices were divided by.

    Each lesson has a generator of its own, so that none depends on the others.
    """
    seeds = torch.randint(2**62, (len(layers),), generator=generator).tolist()
    scales = [float(x.train.std()) if standardise else 1.0 for x in layers]
    found = [
        Lesson(
            x.place.name,
            x.train / scale,
            x.held_out / scale,
            epochs(x.place.slices, len(x.train), length.least_steps, length.scale),
            torch.Generator().manual_seed(seed),
        )
        for x, scale, seed in zip(layers, scales, seeds, strict=True)
    ]
    return found, torch.tensor(scales)


def train(
    model: SliceModel, lessons: Sequence[Lesson], device: torch.device | str = "cpu"
) -> dict[str, Tensor]:
    """Train a model for each lesson, all at once; return the best parameters, in this order.

    Raises PluginError if the held-out loss of a model was never finite.
    """
    longest_first = sorted(range(len(lessons)), key=lambda i: -lessons[i].steps)
    best = _Stack(model, [lessons[i] for i in longest_first], device).train()
    back = torch.tensor(longest_first).argsort().to(device)
    return unpack(best[back], model.starts())


class _Stack:
    """Models that are trained together, those with the most steps first."""

    def __init__(
        self, model: SliceModel, lessons: Sequence[Lesson], device: torch.device | str
    ) -> None:
        self.model, self.lessons, self.device = model, lessons, device
        self.starts = model.starts()
        self.generators = [lesson.generator for lesson in lessons]
        self.flat = draw(self.starts, self.generators).to(device)
        self.adam = Adam(self.flat, model.weight_decay)
        self.rows = torch.cat([lesson.train for lesson in lessons]).to(device)
        self.held_out = [lesson.held_out.to(device) for lesson in lessons]
        self.batches = torch.tensor([lesson.batches for lesson in lessons], device=device)
        self.order = torch.zeros(
            len(lessons), max(x.batches for x in lessons) * BATCH, dtype=torch.long, device=device
        )
        self.sizes = torch.tensor([len(lesson.train) for lesson in lessons], device=device)
        self.best = self.flat.clone()
        self.best_loss = [math.inf] * len(lessons)

    def train(self) -> Tensor:
        for step in range(self.lessons[0].steps):
            learning = sum(lesson.steps > step for lesson in self.lessons)
            self._begin_epochs(step, learning)
            self._step(step, learning)
            self._judge(step, learning)
        for lesson, loss in zip(self.lessons, self.best_loss, strict=True):
            if not math.isfinite(loss):
                raise PluginError(f"the slice model of `{lesson.name}` diverged: its loss is NaN")
        return self.best

    def _begin_epochs(self, step: int, learning: int) -> None:
        first = 0
        for i, lesson in enumerate(self.lessons):
            size = len(lesson.train)
            if i < learning and step % lesson.batches == 0:
                order = first + torch.randperm(size, generator=lesson.generator)
                self.order[i, :size] = order.to(self.device)
            first += size

    def _step(self, step: int, learning: int) -> None:
        places = torch.arange(BATCH, device=self.device)
        places = (step % self.batches[:learning])[:, None] * BATCH + places
        real = places < self.sizes[:learning, None]  # the last batch of an epoch may be smaller
        rows = self.rows[self.order[:learning].gather(1, places)]
        flat = self.flat[:learning].detach().requires_grad_()
        noise = self._noise(range(learning), BATCH)
        losses = self.model.losses(unpack(flat, self.starts), rows, noise)
        total = torch.where(real, losses, 0).sum(1)
        if self.model.averaged:
            total = total / real.sum(1)
        (gradient,) = torch.autograd.grad(total.sum(), flat)
        rates = [
            self.model.rate * (1 - step // lesson.batches / lesson.epochs)
            for lesson in self.lessons[:learning]
        ]
        self.adam.step(gradient, torch.tensor(rates, device=self.device)[:, None])

    @torch.no_grad()
    def _judge(self, step: int, learning: int) -> None:
        """Keep the models that are looked at after this step, if they were never better."""
        same_size: dict[int, list[int]] = {}
        for i, lesson in enumerate(self.lessons[:learning]):
            if lesson.is_judged_after(step + 1):
                same_size.setdefault(len(lesson.held_out), []).append(i)
        for size, models in same_size.items():
            for i, loss in zip(models, self._held_out_losses(models, size), strict=True):
                if loss < self.best_loss[i]:
                    self.best_loss[i] = loss
                    self.best[i] = self.flat[i]

    def _held_out_losses(self, models: list[int], size: int) -> list[float]:
        parameters = unpack(self.flat[models], self.starts)
        total = torch.zeros(len(models), device=self.device)
        for first in range(0, size, _ROWS_AT_ONCE):
            last = first + _ROWS_AT_ONCE
            rows = torch.stack([self.held_out[i][first:last] for i in models])
            noise = self._noise(models, rows.shape[1])
            total += self.model.losses(parameters, rows, noise).sum(1)
        return [float(x) for x in (total / size).tolist()]

    def _noise(self, models: Sequence[int], rows: int) -> Tensor:
        if not self.model.noise:
            return torch.empty(len(models), rows, 0, device=self.device)
        shape = (rows, self.model.noise)
        drawn = [torch.randn(shape, generator=self.generators[i]) for i in models]
        return torch.stack(drawn).to(self.device)


class Adam:
    """Adam (Kingma & Ba 2015) with its default betas, for models that stop one after another.

    torch.optim's has one rate for all rows of a tensor; here each model has its own.
    """

    def __init__(self, flat: Tensor, weight_decay: float) -> None:
        self.flat = flat
        self.weight_decay = weight_decay
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, rates: Tensor) -> None:
        """Move the first models, as many as the gradient has; rates are (models, 1)."""
        self.steps += 1
        count = len(gradient)
        flat, mean, square = self.flat[:count], self.mean[:count], self.square[:count]
        gradient = gradient.add(flat, alpha=self.weight_decay)
        mean.lerp_(gradient, 0.1)
        square.lerp_(gradient.square(), 0.001)
        corrected = (square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        flat.sub_(rates / (1 - 0.9**self.steps) * mean / corrected)
