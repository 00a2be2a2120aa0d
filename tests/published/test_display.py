"""How published values and claims read."""

from __future__ import annotations

import doctest

import pytest

from initbench.published import display, table
from initbench.published.display import (
    beside_groups,
    inside_mark,
    published_text,
    remark,
    shared_conditions,
)
from initbench.results import Beside


def beside(**fields: object) -> Beside:
    known = {
        "experiment": "accuracy",
        "source": "harder2023:section 4",
        "metric": "test_accuracy",
        "settings": {},
        "initialiser": "he",
        "model": "resnet20",
        "dataset": "pcam",
        "unit": "fraction",
        "published": 0.586,
    }
    return Beside(**{**known, **fields})  # type: ignore[arg-type]


def test_examples() -> None:
    for module in (display, table):
        outcome = doctest.testmod(module)
        assert outcome.attempted
        assert not outcome.failed


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "58.60"),
        ({"published_std": 0.01}, "58.60 ± 1.00"),
        ({"published": 0.8, "unit": "cosine", "bound": "upper"}, "< 0.8000"),
        ({"published": None}, "figure only"),
    ],
)
def test_a_published_value_as_text(fields: dict[str, object], text: str) -> None:
    assert published_text(beside(**fields)) == text


def test_what_holds_for_all_is_said_once() -> None:
    rows = [
        beside(n=2, conditions=["reduced", "2 trials, published 25"]),
        beside(n=2, conditions=["reduced", "2 trials, published 25", "1 of 2 failed"]),
        beside(reason="not in this run", conditions=["reduced"]),
    ]
    shared = shared_conditions(rows)

    assert shared == ["reduced", "2 trials, published 25"]
    assert [remark(row, shared) for row in rows] == ["", "1 of 2 failed", "not in this run"]


def test_numbers_and_figures_are_tables_of_their_own() -> None:
    rows = [beside(), beside(initialiser="xavier"), beside(published=None)]
    assert [len(group) for group in beside_groups(rows)] == [2, 1]


def test_thresholds_may_be_tables_of_their_own() -> None:
    rows = [beside(settings={"threshold": x}) for x in (0.65, 0.75)]
    assert len(beside_groups(rows)) == 1
    assert len(beside_groups(rows, by_setting=True)) == 2


def test_without_a_prediction_there_is_no_verdict() -> None:
    assert [inside_mark(beside(inside=x)) for x in (True, False, None)] == [
        "✓ inside",
        "✗ outside",
        "–",
    ]
