"""Schedules: when a trial steps, looks at the validation split, and changes its rate.

Nothing here needs torch, so plans can count steps without it.
"""

from __future__ import annotations

import math

from initbench.training.recipe import Constant, Cosine, Plateau, Recipe, Step


def steps_per_epoch(recipe: Recipe, train_images: int) -> int:
    """Return the number of optimiser steps that one pass over the training split takes.

    Where tasks follow each other, it is one over the images of a task.
    """
    images = train_images // recipe.tasks
    if recipe.drop_last:
        return images // recipe.batch_size
    return math.ceil(images / recipe.batch_size)


def total_steps(recipe: Recipe, train_images: int) -> int:
    """Return the number of optimiser steps of a complete run."""
    return recipe.epochs_in_all * steps_per_epoch(recipe, train_images)


def evaluation_steps(recipe: Recipe, train_images: int) -> list[int]:
    """Return the steps after which the validation split is looked at.

    The first is 0, before training, and the last is the end, whatever the cadence, and those at
    which weights are kept are among them; batches are counted across epochs.
    """
    cadence = recipe.evaluation
    unit = steps_per_epoch(recipe, train_images) if cadence.unit == "epoch" else 1
    total = total_steps(recipe, train_images)
    kept = kept_epochs(recipe, train_images)
    return sorted({*range(0, total, cadence.every * unit), *kept, total})


def kept_epochs(recipe: Recipe, train_images: int) -> dict[int, int]:
    """Return the epochs at whose ends the weights are kept, by the number of steps done then."""
    per_epoch = steps_per_epoch(recipe, train_images)
    return {epoch * per_epoch: epoch for epoch in recipe.evaluation.kept_epochs}


class RateSchedule:
    """The learning rate of every step of one member.

    Only the plateau schedule depends on what it `observe`s; the others are functions of the step.
    """

    def __init__(self, recipe: Recipe, train_images: int) -> None:
        self._schedule = recipe.schedule
        self._base = recipe.optimiser.lr
        self._per_epoch = steps_per_epoch(recipe, train_images)
        self._total = total_steps(recipe, train_images)
        self._plateau_rate = self._base
        self._lowest_loss = math.inf
        self._without_lower = 0

    def rate(self, step: int) -> float:
        """Return the rate of the step that follows after `step` steps."""
        match self._schedule:
            case Constant():
                return self._base
            case Step() as schedule:
                return self._step(schedule, step)
            case Cosine() as schedule:
                return self._cosine(schedule, step)
            case Plateau():
                return self._plateau_rate

    def observe(self, validation_loss: float) -> None:
        """Take note of the validation loss of one evaluation, in order, index 0 included."""
        if not isinstance(self._schedule, Plateau):
            return
        if validation_loss < self._lowest_loss:
            self._lowest_loss = validation_loss
            self._without_lower = 0
            return
        self._without_lower += 1
        if self._without_lower == self._schedule.patience:
            self._without_lower = 0
            floor = min(self._schedule.minimum, self._plateau_rate)
            self._plateau_rate = max(self._plateau_rate * self._schedule.factor, floor)

    def _step(self, schedule: Step, step: int) -> float:
        unit = self._per_epoch if schedule.unit == "epoch" else 1
        rate = self._base
        for milestone, factor in zip(schedule.milestones, schedule.factors, strict=True):
            if step >= milestone * unit:
                rate *= factor
        return rate

    def _cosine(self, schedule: Cosine, step: int) -> float:
        warmup = schedule.warmup_batches
        if step < warmup:
            return self._base * (step + 1) / (warmup + 1)
        if schedule.unit == "epoch":
            step = max(step - step % self._per_epoch, warmup)
        done = (step - warmup) / (self._total - warmup)
        return schedule.final + (self._base - schedule.final) * (1 + math.cos(math.pi * done)) / 2
