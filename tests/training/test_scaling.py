"""A scaled recipe is a small picture of the whole one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initbench.training.recipe import Recipe
from initbench.training.recipes import RECIPES
from initbench.training.scaling import scaled
from initbench.training.schedule import RateSchedule, evaluation_steps, total_steps
from tests.training.networks import recipe

SCALES = st.integers(1, 1000).map(lambda thousandths: thousandths / 1000)


def _shipped(name: str) -> Recipe:
    return Recipe.model_validate(RECIPES[name])


def test_the_cost_guide_of_the_protocol_is_met() -> None:
    cifar10 = scaled(_shipped("harder2023_cifar10"), 0.1)
    assert (cifar10.epochs, cifar10.schedule.milestones) == (12, [8, 10])
    assert cifar10.evaluation == _shipped("harder2023_cifar10").evaluation
    pcam = scaled(_shipped("harder2023_pcam"), 0.1)
    assert total_steps(pcam, 153_600) == 1_200
    assert pcam.schedule.milestones == [720, 840]
    assert len(evaluation_steps(pcam, 153_600)) - 1 == 40


@pytest.mark.parametrize("name", RECIPES)
def test_at_full_scale_nothing_changes(name: str) -> None:
    assert scaled(_shipped(name), 1.0) == _shipped(name)


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=20, derandomize=True)
@given(scale=SCALES)
def test_a_scaled_recipe_is_valid_and_differs_in_length_only(name: str, scale: float) -> None:
    whole, part = _shipped(name), scaled(_shipped(name), scale)
    assert Recipe.model_validate_json(part.model_dump_json()) == part
    assert part.epochs == max(1, int(whole.epochs * Fraction(str(scale))))
    length = ("epochs", "schedule", "evaluation")
    assert part.model_dump(exclude={*length}) == whole.model_dump(exclude={*length})


@pytest.mark.parametrize("name", [n for n in RECIPES if "harder" in n or n == "chang2020_cifar10"])
@settings(max_examples=20, derandomize=True)
@given(scale=SCALES)
def test_training_ends_at_the_same_rate_if_there_are_two_epochs(name: str, scale: float) -> None:
    whole, part = _shipped(name), scaled(_shipped(name), scale)
    images = 153_600 if "pcam" in name and "small" not in name else 1_000
    last = RateSchedule(part, images).rate(total_steps(part, images) - 1)
    expected = RateSchedule(whole, images).rate(total_steps(whole, images) - 1)
    if part.epochs > 1 or whole.schedule.unit == "batch":
        assert last == pytest.approx(expected)
    factors, together = 1.0, 1.0
    for factor in whole.schedule.factors:
        factors *= factor
    for factor in part.schedule.factors:
        together *= factor
    assert together == pytest.approx(factors)


@pytest.mark.parametrize(
    ("schedule", "scale", "expected"),
    [
        # Of 8 epochs 0.3 are 2: a quarter. 5 of 8 become 1 of 2, and so do 7.
        (
            {"name": "step", "milestones": [5, 7], "factors": [0.5, 0.2]},
            0.3,
            {"milestones": [1], "factors": [0.1]},
        ),
        ({"name": "cosine", "warmup_batches": 9}, 0.25, {"warmup_batches": 2}),
        ({"name": "cosine", "warmup_batches": 3}, 0.25, {"warmup_batches": 1}),
        ({"name": "cosine"}, 0.25, {"warmup_batches": 0}),
        ({"name": "cosine", "unit": "epoch", "final": 0.1}, 0.25, {"unit": "epoch", "final": 0.1}),
        ({"name": "constant"}, 0.25, {}),
    ],
)
def test_schedules_keep_their_proportions(
    schedule: dict[str, Any], scale: float, expected: dict[str, Any]
) -> None:
    part = scaled(recipe(epochs=8, schedule=schedule), scale)
    assert part.epochs == 2
    actual = part.schedule.model_dump()
    assert {key: actual[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("every", "unit", "expected", "patience"),
    [
        (20, "batch", 10, 6),  # as many evaluations as before
        (1, "epoch", 1, 3),  # half as many
        (3, "batch", 1, 9),  # rounded down: half as many again
        (4, "epoch", 2, 6),
    ],
)
def test_the_cadence_shrinks_and_patience_lasts_the_same_share(
    every: int, unit: str, expected: int, patience: int
) -> None:
    plateau = {"name": "plateau", "patience": 6, "minimum": 0.01}
    whole = recipe(epochs=8, schedule=plateau, evaluation={"every": every, "unit": unit})
    part = scaled(whole, 0.5)
    assert (part.evaluation.every, part.evaluation.unit) == (expected, unit)
    assert part.schedule.patience == patience


def test_decimals_are_taken_at_their_word() -> None:
    assert 100 * 0.29 < 29, "this test needs a product that rounding spoils"
    assert scaled(recipe(epochs=100), 0.29).epochs == 29
    assert scaled(recipe(epochs=100_000), 1e-05).epochs == 1


def test_the_epochs_after_which_is_tested_keep_their_share() -> None:
    whole = recipe(epochs=50, evaluation={"test_epochs": [1, 25, 50]})
    assert scaled(whole, 0.2).evaluation.test_epochs == [1, 5, 10]
    assert scaled(whole, 0.02).evaluation.test_epochs == [1]


def test_the_epochs_that_are_kept_keep_their_share_and_the_start_stays_the_start() -> None:
    whole = recipe(epochs=50, evaluation={"kept_epochs": [0, 1, 21, 22, 50]})
    assert scaled(whole, 0.2).evaluation.kept_epochs == [0, 1, 4, 10]
    assert scaled(whole, 0.02).evaluation.kept_epochs == [0, 1]
