"""Which recipe a suite trains a model with on a data set."""

from __future__ import annotations

from initbench.plugin.configuration import merged
from initbench.suite.schema import Choice, RecipeChoice, TrainedChoice
from initbench.suite.yaml_reader import NodePath


def recipe_for(suite_recipe: RecipeChoice, dataset: Choice, model: Choice) -> RecipeChoice:
    """Return the suite's recipe, changed by what data set and model say, in this order.

    A recipe that has a `name` replaces what was before it; without one its keys are changes. The
    `scale` stays unless it is given again, so that a profile shortens all of them at once.
    """
    recipe = suite_recipe
    for choice in (dataset, model):
        if isinstance(choice, TrainedChoice) and choice.recipe is not None:
            recipe = _changed(recipe, choice.recipe)
    return recipe


def place_of_recipe(dataset: tuple[int, Choice], model: tuple[int, Choice]) -> NodePath:
    """Return the path of the last part of a suite that has a say in a recipe."""
    for section, (i, choice) in (("models", model), ("datasets", dataset)):
        if isinstance(choice, TrainedChoice) and choice.recipe is not None:
            return (section, i, "recipe")
    return ("recipe",)


def _changed(recipe: RecipeChoice, change: RecipeChoice) -> RecipeChoice:
    scale = change.scale if "scale" in change.model_fields_set else recipe.scale
    if change.name is not None:
        return RecipeChoice(name=change.name, scale=scale, **change.config)
    return RecipeChoice(name=recipe.name, scale=scale, **merged(recipe.config, change.config))
