"""Every shipped recipe is valid and says what its publication says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from initbench.training.recipe import (
    SGD,
    Adam,
    AdamW,
    Augmentation,
    Cosine,
    Optimiser,
    Recipe,
    Step,
)
from initbench.training.recipes import RECIPES
from initbench.training.schedule import steps_per_epoch, total_steps


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
        ("usps_code", 3e-4, 1e-3),
        ("cifar10", 1e-4, 1e-2),
        ("stl10", 1e-4, 1e-3),
    ],
)
def test_schuerholt2022(name: str, lr: float, weight_decay: float) -> None:
    recipe = Recipe.model_validate(RECIPES[f"schuerholt2022_{name}"])
    assert recipe.optimiser == Adam(name="adam", lr=lr, weight_decay=weight_decay)
    assert recipe.schedule.name == "constant"
    assert (recipe.epochs, recipe.batch_size) == (50, 10)


@pytest.mark.parametrize(
    ("name", "optimiser", "batch_size", "steps"),
    [
        ("resnet50", SGD(name="sgd", lr=0.01, momentum=0.9, weight_decay=0.01), 96, 11),
        ("convnext_base", AdamW(name="adamw", lr=0.001, weight_decay=0.1), 48, 21),
    ],
)
def test_knyazev2022(name: str, optimiser: Optimiser, batch_size: int, steps: int) -> None:
    recipe = Recipe.model_validate(RECIPES[f"knyazev2022_{name}"])
    assert recipe.optimiser == optimiser
    assert recipe.schedule == Cosine(name="cosine", final=0.0, unit="epoch")
    assert (recipe.epochs, recipe.batch_size, recipe.clip_norm) == (300, batch_size, 5.0)
    assert recipe.augmentation == Augmentation(crop_padding=4, flip=True)
    assert steps_per_epoch(recipe, 1000) == steps  # of the 1,000 images, as the cost guide says


@pytest.mark.parametrize(
    ("name", "lr", "epochs", "batch_size", "weight_decay"),
    [
        ("mnist", 0.01, 30, 10, 0.0),
        ("mnist_hypernet", 0.0005, 30, 10, 0.0),
        ("cifar10", 0.0005, 500, 100, 0.0),
        ("mobilenet", 0.1, 25, 256, 5e-4),
    ],
)
def test_chang2020(name: str, lr: float, epochs: int, batch_size: int, weight_decay: float) -> None:
    recipe = Recipe.model_validate(RECIPES[f"chang2020_{name}"])
    assert recipe.optimiser == SGD(name="sgd", lr=lr, weight_decay=weight_decay)
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch_size)
    assert (recipe.schedule.name == "step") == (name == "cifar10")
    if isinstance(recipe.schedule, Step):
        drops = Step(name="step", milestones=[350, 450], factors=[0.1, 0.1])
        assert recipe.schedule == drops


def test_step_counts_are_the_published_ones() -> None:
    for name, images, steps in (
        ("harder2023_cifar10", 45_000, 42_240),
        ("harder2023_pcam", 153_600, 12_000),
        ("harder2023_pcam_small", 1_000, 320),
        ("schuerholt2022_mnist", 50_000, 50 * 5_000),
        ("chang2020_mobilenet", 1_281_167, 125_125),
    ):
        assert total_steps(Recipe.model_validate(RECIPES[name]), images) == steps


def test_recipes_and_step_counts_need_no_torch() -> None:
    code = (
        "import sys, initbench.training.recipes, initbench.training.scaling, "
        "initbench.training.schedule; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
