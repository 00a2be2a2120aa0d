"""Every shipped recipe is valid and says what its publication says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from initbench.training.recipe import SGD, Adam, Recipe, Step
from initbench.training.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipes_are_valid_and_survive_json(name: str) -> None:
    recipe = Recipe.model_validate(RECIPES[name])
    again = Recipe.model_validate(json.loads(recipe.model_dump_json()))
    assert again == recipe


@pytest.mark.parametrize(
    ("name", "milestones", "factors", "unit", "epochs"),
    [
        ("harder2023_cifar10", [80, 100], [0.5, 0.2], "epoch", 120),
        ("harder2023_cifar10_paper", [80, 100], [0.2, 0.5], "epoch", 120),
        ("harder2023_pcam", [7200, 8400], [0.5, 0.2], "batch", 10),
        ("harder2023_pcam_paper", [7200, 8400], [0.2, 0.5], "batch", 10),
        ("harder2023_pcam_small", [20, 30], [0.5, 0.2], "epoch", 40),
    ],
)
def test_harder2023(
    name: str, milestones: list[int], factors: list[float], unit: str, epochs: int
) -> None:
    recipe = Recipe.model_validate(RECIPES[name])
    assert recipe.optimiser == SGD(name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert recipe.schedule == Step(name="step", milestones=milestones, factors=factors, unit=unit)
    assert (recipe.epochs, recipe.batch_size, recipe.drop_last) == (epochs, 128, False)
    every = (300, "batch") if "pcam" in name and "small" not in name else (1, "epoch")
    assert (recipe.evaluation.every, recipe.evaluation.unit) == every


@pytest.mark.parametrize(
    ("name", "lr", "weight_decay"),
    [
        ("mnist", 3e-4, 0.0),
        ("svhn", 3e-3, 0.0),
        ("usps", 1e-4, 1e-3),
        ("cifar10", 1e-4, 1e-2),
        ("stl10", 1e-4, 1e-3),
    ],
)
def test_schuerholt2022(name: str, lr: float, weight_decay: float) -> None:
    recipe = Recipe.model_validate(RECIPES[f"schuerholt2022_{name}"])
    assert recipe.optimiser == Adam(name="adam", lr=lr, weight_decay=weight_decay)
    assert recipe.schedule.name == "constant"
    assert (recipe.epochs, recipe.batch_size) == (50, 10)


def test_recipes_and_step_counts_need_no_torch() -> None:
    code = (
        "import sys, initbench.training.recipes, initbench.training.schedule; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
