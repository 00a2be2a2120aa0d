"""Which recipe a suite trains a model with on a data set, and whether it can be followed there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initbench.plugin.configuration import merged
from initbench.suite.schema import Choice, InitialiserChoice, RecipeChoice, TrainedChoice
from initbench.suite.yaml_reader import NodePath

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.training.recipe import Recipe


def recipe_for(suite_recipe: RecipeChoice, *choices: Choice) -> RecipeChoice:
    """Return the suite's recipe, changed by what choices say: data set, model, initialiser.

    A recipe that has a `name` replaces what was before it; without one its keys are changes. The
    `scale` stays unless it is given again, so that a profile shortens all of them at once.
    """
    recipe = suite_recipe
    for choice in choices:
        if (change := _said(choice)) is not None:
            recipe = _changed(recipe, change)
    return recipe


def place_of_recipe(*choices: tuple[NodePath, Choice]) -> NodePath:
    """Return the path of the last part of a suite that has a say in a recipe.

    `choices` are those of `recipe_for`, each with its path.
    """
    for path, choice in reversed(choices):
        if _said(choice) is not None:
            key = "own_recipe" if isinstance(choice, InitialiserChoice) else "recipe"
            return (*path, key)
    return ("recipe",)


def why_not_on(recipe: Recipe, dataset: DataSet[Any]) -> str | None:
    """Return why a recipe cannot be followed on a data set, whatever its size; None if it can."""
    if recipe.tasks > 1 and recipe.tasks != dataset.tasks:
        return (
            f"`continual` has {recipe.tasks} tasks, but `{dataset.name}` has {dataset.tasks}; "
            "leave it out, or choose a data set with as many"
        )
    if dataset.task == "classification":
        return None
    if recipe.label_smoothing:
        return f"`label_smoothing` is for classes, but those of `{dataset.name}` are numbers"
    if recipe.augmentation.crop_padding or recipe.augmentation.flip:
        return f"`augmentation` is for images, but `{dataset.name}` has none"
    return None


def _said(choice: Choice) -> RecipeChoice | None:
    """Return what a choice says of the recipe."""
    if isinstance(choice, InitialiserChoice):
        return choice.own_recipe
    return choice.recipe if isinstance(choice, TrainedChoice) else None


def _changed(recipe: RecipeChoice, change: RecipeChoice) -> RecipeChoice:
    scale = change.scale if "scale" in change.model_fields_set else recipe.scale
    if change.name is not None:
        return RecipeChoice(name=change.name, scale=scale, **change.config)
    return RecipeChoice(name=recipe.name, scale=scale, **merged(recipe.config, change.config))
