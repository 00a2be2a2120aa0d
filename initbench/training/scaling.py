"""Scaling: a recipe made shorter as a whole, so that a short run is a small picture of it."""

from __future__ import annotations

from fractions import Fraction

from initbench.training.recipe import (
    Constant,
    Cosine,
    Evaluation,
    Plateau,
    Recipe,
    Schedule,
    Step,
)


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """Return `recipe` at `scale` (above 0, at most 1) of its length, everything in proportion.

    Epochs are rounded down, but not to 0. Milestones, warm-up, the time between evaluations and
    the patience of a plateau then keep their share of the epochs that are left, and are rounded
    down in the same way. Milestones that fall together become one with the product of their
    factors. Rates, batch size and everything else stay as they are.

    >>> from initbench.training.recipes import RECIPES
    >>> short = scaled(Recipe.model_validate(RECIPES["harder2023_cifar10"]), 0.1)
    >>> short.epochs, short.schedule.milestones
    (12, [8, 10])
    """
    # As a fraction, because 0.29 * 100 is a little less than 29.
    epochs = _at_least_one(recipe.epochs * Fraction(str(scale)))
    share = Fraction(epochs, recipe.epochs)
    evaluation = _evaluation(recipe.evaluation, share)
    # Evaluations become fewer where they cannot follow each other any faster.
    frequency = share * Fraction(recipe.evaluation.every, evaluation.every)
    schedule = _schedule(recipe.schedule, share, frequency)
    changes = {"epochs": epochs, "evaluation": evaluation, "schedule": schedule}
    return recipe.model_copy(update=changes)


def _evaluation(evaluation: Evaluation, share: Fraction) -> Evaluation:
    every = _at_least_one(evaluation.every * share)
    tested = sorted({_at_least_one(epoch * share) for epoch in evaluation.test_epochs})
    kept = sorted({epoch and _at_least_one(epoch * share) for epoch in evaluation.kept_epochs})
    changes = {"every": every, "test_epochs": tested, "kept_epochs": kept}
    return evaluation.model_copy(update=changes)


def _schedule(schedule: Schedule, share: Fraction, frequency: Fraction) -> Schedule:
    match schedule:
        case Constant():
            return schedule
        case Step():
            factors: dict[int, float] = {}
            for milestone, factor in zip(schedule.milestones, schedule.factors, strict=True):
                at = _at_least_one(milestone * share)
                factors[at] = factors.get(at, 1.0) * factor
            changes = {"milestones": list(factors), "factors": list(factors.values())}
            return schedule.model_copy(update=changes)
        case Cosine():
            warmup = schedule.warmup_batches
            batches = _at_least_one(warmup * share) if warmup else 0
            return schedule.model_copy(update={"warmup_batches": batches})
        case Plateau():
            patience = _at_least_one(schedule.patience * frequency)
            return schedule.model_copy(update={"patience": patience})


def _at_least_one(number: Fraction) -> int:
    return max(int(number), 1)
