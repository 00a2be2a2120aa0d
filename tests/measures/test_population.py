"""A population's value is the mean of what is shown; pseudo-values are one a trial."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean, stdev

import pytest

from initbench.measures.population import population_value

SEEDS = (3, 5, 8, 13)
PAIRS = list(combinations(range(4), 2))


def test_the_value_is_the_mean_of_the_sets_that_are_shown() -> None:
    found = population_value([0.1, 0.2, 0.6, 0.4, 0.5, 0.9], PAIRS, SEEDS, shown=3)
    assert found.parts == [0.1, 0.2, 0.6]
    assert found.value == pytest.approx(0.3)
    assert list(found.pseudo_values) == list(SEEDS)
    assert fmean(found.pseudo_values.values()) == pytest.approx(0.3)


def test_pseudo_values_of_means_of_pairs_are_the_values_of_trials() -> None:
    own = [0.1, 0.5, 0.2, 0.9]
    values = [(own[i] + own[j]) / 2 for i, j in PAIRS]
    found = population_value(values, PAIRS, SEEDS)
    assert list(found.pseudo_values.values()) == pytest.approx(own)


def test_further_sets_have_a_say_in_the_deviation_only() -> None:
    values = [0.1, 0.2, 0.6, 0.4, 0.5, 0.9]
    few = population_value(values, PAIRS, SEEDS, shown=2)
    many = population_value(values, PAIRS, SEEDS)
    assert few.value != many.value
    assert stdev(few.pseudo_values.values()) == pytest.approx(stdev(many.pseudo_values.values()))


@pytest.mark.parametrize(
    ("sets", "seeds"), [([[0, 1]], [0, 1]), ([[0, 1], [0, 2]], [0, 1, 2]), ([[0]], [7])]
)
def test_where_a_trial_is_in_all_sets_there_is_a_value_without_pseudo_values(
    sets: list[list[int]], seeds: list[int]
) -> None:
    found = population_value([0.25] * len(sets), sets, seeds)
    assert found.value == 0.25
    assert found.pseudo_values == {}
