from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from initbench.statistics.jackknife import member_pseudo_values
from initbench.statistics.sample import Array

MEMBERS = 25
PAIRS = list(combinations(range(MEMBERS), 2))


def slow(values: list[float], sets: list[list[int]], members: int) -> list[float]:
    """Tukey's pseudo-values, by leaving out one member after the other."""
    whole = sum(values) / len(values)
    result = []
    for member in range(members):
        kept = [x for x, chosen in zip(values, sets, strict=True) if member not in chosen]
        result.append(members * whole - (members - 1) * sum(kept) / len(kept))
    return result


def test_rule_301_all_pairs_give_the_jackknife_of_a_u_statistic() -> None:
    values = np.random.default_rng(0).normal(size=15).tolist()
    pairs = [list(pair) for pair in combinations(range(6), 2)]
    assert member_pseudo_values(values, pairs, 6) == pytest.approx(slow(values, pairs, 6))


def test_sets_of_one_give_back_the_values() -> None:
    values = [0.9, 0.8, 0.85, 0.7]
    assert member_pseudo_values(values, [[0], [1], [2], [3]], 4) == pytest.approx(values)


def test_rule_301_the_mean_of_pseudo_values_is_that_of_the_sets_however_uneven() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=20)
    sets = [rng.choice(MEMBERS, 5).tolist() for _ in range(20)]  # with replacement: `code`
    assert np.mean(member_pseudo_values(values.tolist(), sets, MEMBERS)) == pytest.approx(
        values.mean()
    )


def test_rule_301_a_member_in_no_set_has_the_mean() -> None:
    pseudo = member_pseudo_values([1.0, 3.0], [[0, 1], [2, 3]], 5)
    assert pseudo[4] == pytest.approx(2.0)


@pytest.mark.parametrize("sets", [[[0, 1], [0, 2]], []])
def test_rule_301_nothing_is_said_of_a_member_that_is_never_left_out(sets: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="left out"):
        member_pseudo_values([1.0] * len(sets), sets, 3)


def rejections(sets: list[tuple[int, ...]], suites: int, *, naive: bool = False) -> float:
    """How often a test at 5 % finds a difference between ensembles of equally good members."""
    rng = np.random.default_rng(2)
    found = 0
    for differences in _scores(rng, sets, suites) - _scores(rng, sets, suites):
        tested = differences
        if not naive:
            tested = np.array(member_pseudo_values(differences.tolist(), sets, MEMBERS))
        found += stats.ttest_1samp(tested, 0).pvalue <= 0.05
    return found / suites


def _scores(rng: np.random.Generator, sets: list[tuple[int, ...]], suites: int) -> Array:
    """Scores (suites, sets): what members bring, and a smaller part from how they fit together."""
    members = np.array([[i in chosen for i in range(MEMBERS)] for chosen in sets], dtype=float)
    pairs = np.array([[i in chosen and j in chosen for i, j in PAIRS] for chosen in sets], float)
    quality, fit = rng.normal(size=(suites, MEMBERS)), rng.normal(size=(suites, len(PAIRS)))
    size = len(sets[0])
    scores: Array = quality @ members.T / size + 0.5 * fit @ pairs.T / (size * (size - 1))
    return scores


def random_sets(count: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(3)
    return [tuple(rng.choice(MEMBERS, 5, replace=False)) for _ in range(count)]


def test_rule_302_pairs_keep_the_type_i_error_and_300_independent_pairs_would_not() -> None:
    assert 0.03 < rejections(PAIRS, 600) < 0.07
    assert rejections(PAIRS, 200, naive=True) > 0.4


def test_rule_302_many_ensembles_keep_the_type_i_error_and_20_are_cautious() -> None:
    assert 0.03 < rejections(random_sets(300), 600) < 0.07
    assert rejections(random_sets(20), 600) < 0.05
    assert rejections(random_sets(20), 500, naive=True) > 0.25
