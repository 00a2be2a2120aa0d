from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from initbench.statistics.ranks import (
    ahead_over_blocks,
    critical_difference,
    mean_ranks,
    rank_intervals,
)

# autorank 1.3.0: autorank(DataFrame(ACCURACIES), alpha=0.05, force_mode="nonparametric",
# order="descending") gives mean ranks, p value and critical difference below; the last with a
# finite number in place of infinite freedom.
ACCURACIES = np.array([
    [0.641, 0.702, 0.694, 0.685], [0.632, 0.621, 0.651, 0.684], [0.673, 0.709, 0.716, 0.736],
    [0.729, 0.748, 0.718, 0.776], [0.737, 0.763, 0.761, 0.817], [0.705, 0.709, 0.715, 0.758],
    [0.651, 0.655, 0.707, 0.71], [0.684, 0.685, 0.651, 0.726], [0.715, 0.748, 0.768, 0.758],
    [0.777, 0.787, 0.831, 0.818], [0.728, 0.702, 0.737, 0.757], [0.667, 0.66, 0.717, 0.711],
])  # fmt: skip
AUTORANK_MEAN_RANKS = [3.583333, 2.833333, 2.166667, 1.416667]
AUTORANK_P = 0.0003468294018257528
AUTORANK_CD = 1.3539901117469855


def test_rule_309_mean_ranks_and_critical_difference_are_those_of_autorank() -> None:
    found = critical_difference(ACCURACIES, 0.95)
    assert found is not None
    assert mean_ranks(ACCURACIES) == pytest.approx(AUTORANK_MEAN_RANKS, rel=1e-6)
    assert found.friedman_p == pytest.approx(AUTORANK_P)
    assert found.difference == pytest.approx(AUTORANK_CD, rel=1e-4)


def test_rule_309_there_is_none_for_few_blocks_or_two_initialisers_or_without_differences() -> None:
    assert critical_difference(ACCURACIES[:9], 0.95) is None
    assert critical_difference(ACCURACIES[:, :2], 0.95) is None
    assert critical_difference(np.ones((12, 4)), 0.95) is None


def test_ties_share_their_ranks_and_fewer_steps_rank_first() -> None:
    steps = np.array([[10.0, 20.0, 20.0], [10.0, 30.0, 20.0]])
    assert mean_ranks(steps, higher_is_better=False).tolist() == [1.0, 2.75, 2.25]


def test_rank_intervals_count_those_that_are_ahead() -> None:
    ahead = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=np.bool_)
    assert [str(rank) for rank in rank_intervals(ahead)] == ["1–2", "1–2", "3"]


def test_rule_308_two_initialisers_on_one_block_are_told_apart_by_the_paired_t_test() -> None:
    a, b = np.random.default_rng(0).normal([[0.6], [0.0]], 1, (2, 25))
    p = stats.ttest_rel(a, b).pvalue
    for confidence in (1 - p * 1.01, 1 - p * 0.99):
        ahead = ahead_over_blocks([np.stack([a, b])], confidence)
        assert ahead.tolist() == [[False, bool(p <= 1 - confidence)], [False, False]]


def test_rule_308_equals_are_seldom_called_different_in_any_of_all_pairs() -> None:
    rng, wrong, suites = np.random.default_rng(1), 0, 400
    for _ in range(suites):
        blocks = [(s + 1) * rng.normal(size=(5, 6)) for s in range(3)]
        wrong += bool(ahead_over_blocks(blocks, 0.95).any())
    assert wrong / suites < 0.075


def test_rule_308_clear_differences_give_every_initialiser_its_rank() -> None:
    rng = np.random.default_rng(2)
    blocks = [rng.normal(size=(4, 10)) + 5 * np.arange(4)[:, None] for _ in range(3)]
    ranks = rank_intervals(ahead_over_blocks(blocks, 0.95))
    assert [str(rank) for rank in ranks] == ["4", "3", "2", "1"]
