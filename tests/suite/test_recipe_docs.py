"""docs/recipes.md says what the shipped recipes are, and its grid can be run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from initbench.plugin.registry import Registry
from initbench.suite.resolve import complaints
from initbench.training.recipe import Augmentation, Constant, Cosine, Evaluation, Recipe, Step
from initbench.training.recipes import RECIPES
from tests.suite.worlds import edited, load

TEXT = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
ROWS = {
    name: [cell.strip() for cell in cells.split("|")]
    for name, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, flags=re.MULTILINE)
}
OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
GRID = re.findall(r"^--set (.*)$", TEXT, flags=re.MULTILINE)


def _optimiser(recipe: Recipe) -> str:
    chosen = recipe.optimiser
    words = [f"{OPTIMISERS[chosen.name]} {chosen.lr:g}"]
    if momentum := getattr(chosen, "momentum", 0.0):
        words.append(f"momentum {momentum:g}")
    if chosen.weight_decay:
        words.append(f"decay {chosen.weight_decay:g}")
    return ", ".join(words)


def _rate(recipe: Recipe) -> str:
    match recipe.schedule:
        case Constant():
            return "constant"
        case Cosine(final=0.0, warmup_batches=0) as schedule:
            return f"cosine by {schedule.unit}"
        case Step() as schedule:
            unit = " batches" if schedule.unit == "batch" else ""
            drops = zip(schedule.factors, schedule.milestones, strict=True)
            return ", ".join(f"x {factor:g} after {at}{unit}" for factor, at in drops)
        case schedule:
            raise AssertionError(f"the table has no words for {schedule}")


def test_every_recipe_is_in_the_table() -> None:
    assert list(ROWS) == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_table_says_what_a_recipe_is(name: str) -> None:
    recipe = Recipe.model_validate(RECIPES[name])
    optimiser, batch, epochs, rate, _ = ROWS[name]
    assert (optimiser, rate) == (_optimiser(recipe), _rate(recipe))
    assert (batch, epochs) == (str(recipe.batch_size), str(recipe.epochs))


@pytest.mark.parametrize("name", RECIPES)
def test_what_the_table_leaves_out_is_in_the_text(name: str) -> None:
    recipe = Recipe.model_validate(RECIPES[name])
    by_batch = name.startswith("harder2023_pcam") and "small" not in name
    expected = Evaluation(every=300, unit="batch") if by_batch else Evaluation()
    continual = name == "chang2020_continual"
    if continual:
        expected = Evaluation(every=100, unit="batch")
    assert recipe.evaluation == expected
    assert (recipe.continual is not None) == continual
    fine_tuning = name.startswith("knyazev2022")
    assert recipe.clip_norm == (5.0 if fine_tuning else None)
    augmented = Augmentation(crop_padding=4, flip=True) if fine_tuning else Augmentation()
    assert recipe.augmentation == augmented
    assert (recipe.label_smoothing, recipe.precision) == (0.0, "float32")
    assert recipe.drop_last == continual


@pytest.mark.parametrize("change", GRID)
@pytest.mark.parametrize("name", ["knyazev2022_resnet50", "knyazev2022_convnext_base"])
def test_the_grid_consists_of_valid_changes(name: str, change: str) -> None:
    text = edited(("recipe: {name: digits_quick, epochs: 5}", f"recipe: {name}"))
    loaded = load(text, overrides=shlex.split(change))
    assert list(complaints(loaded, Registry.installed())) == []
    assert len(GRID) == 9 + 9
