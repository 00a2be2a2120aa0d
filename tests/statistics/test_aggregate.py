from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from initbench.statistics.aggregate import (
    BlockMean,
    draws,
    improvement,
    interquartile_mean,
    mean,
    yardstick,
)
from initbench.statistics.interval import paired_interval
from initbench.statistics.sample import Array

RNG = np.random.default_rng(0)
A, B = RNG.normal(0.5, 1, 25), RNG.normal(0, 1, 25)


def test_rule_305_of_one_block_the_mean_is_the_paired_t_test() -> None:
    found = BlockMean.of([A - B])
    assert found is not None
    assert found.interval(0.95) == pytest.approx(paired_interval(A, B))
    assert found.p() == pytest.approx(stats.ttest_rel(A, B).pvalue)


def test_rule_305_of_two_blocks_its_error_is_that_of_welch() -> None:
    found = BlockMean.of([A, -B[:12]])
    assert found is not None
    expected = stats.ttest_ind(A, B[:12], equal_var=False)
    assert found.value == pytest.approx((A.mean() - B[:12].mean()) / 2)
    assert (found.df, found.p()) == pytest.approx((expected.df, expected.pvalue))


def test_rule_16_blocks_without_variance_have_a_sign_test_or_no_p() -> None:
    equal, apart, few = (
        BlockMean.of([np.full(n, x)] * 2) for n, x in ((5, 0.0), (5, 1.0), (2, 1.0))
    )
    assert equal is not None
    assert apart is not None
    assert few is not None
    assert (equal.p(), apart.p(), few.p()) == (1.0, 2 / 2**10, None)
    assert apart.interval(0.95) is None
    assert BlockMean.of([A, B[:1]]) is None


@pytest.mark.parametrize(
    ("sizes", "enough"),
    [([11, 11], True), ([10, 11], False), ([5] * 5, True), ([2] * 30, False), ([], False)],
)
def test_rule_305_there_is_no_bootstrap_of_few_seeds(sizes: list[int], enough: bool) -> None:
    assert bool(draws(sizes)) == enough


def test_rule_305_n_minus_1_of_n_seeds_are_drawn_so_that_the_variance_is_right() -> None:
    blocks = [A[:5] - B[:5], A[5:13] - B[5:13], A[13:] - B[13:]]
    drawn = draws([5, 8, 12], resamples=20_000)
    assert [chosen.shape[1] for chosen in drawn] == [4, 7, 11]
    means = [block[chosen].mean(axis=1) for block, chosen in zip(blocks, drawn, strict=True)]
    expected = BlockMean.of(blocks)
    assert expected is not None
    assert np.std(np.mean(means, axis=0)) == pytest.approx(expected.error, rel=0.02)


def test_pairs_stay_pairs_what_both_share_is_not_in_the_interval() -> None:
    drawn = draws([25, 25])
    shared = [RNG.normal(0, 100, 25) for _ in range(2)]
    own = [(s + A) - (s + B) for s in shared]
    found = mean(own, drawn, 0.95)
    assert found.interval is not None
    assert found.interval.high - found.interval.low < 1.5


def test_rule_306_the_interquartile_mean_is_scipys_of_all_pairs() -> None:
    found = interquartile_mean([A, B], [], 0.95)
    assert found.value == pytest.approx(stats.trim_mean(np.concatenate([A, B]), 0.25))
    assert found.interval is None


def test_rule_306_improvement_weighs_blocks_alike_and_has_no_interval_if_all_is_won() -> None:
    assert improvement([np.ones(30), np.zeros(10)], [], 0.95).value == 0.5
    assert improvement([np.ones(12)] * 2, draws([12, 12]), 0.95).interval is None
    lost_some = improvement([A > 0, B > 0], draws([25, 25]), 0.95)
    assert lost_some.interval is not None
    assert lost_some.interval.low < lost_some.value < lost_some.interval.high


def test_rule_304_one_failed_trial_does_not_move_the_yardstick_much() -> None:
    block = RNG.normal(0.9, 0.01, (5, 25))
    failed = block.copy()
    failed[0, 0] = 0.1
    usual = yardstick(block)
    assert usual == pytest.approx(np.median(block.std(axis=1, ddof=1)))
    assert yardstick(failed) == pytest.approx(usual, rel=0.3)
    assert yardstick(np.full((3, 5), 0.9)) is None
    assert yardstick(np.array([[0.9], [0.8]])) is None


def test_intervals_over_blocks_cover_as_often_as_they_say() -> None:
    rng, suites = np.random.default_rng(1), 400
    drawn = draws([8] * 4, resamples=400)
    covered = np.zeros(3)
    for _ in range(suites):
        blocks: list[Array] = [
            (s + 1) * rng.normal(size=8) + (s + 1) * rng.exponential(1, 8) for s in range(4)
        ]
        true = np.mean([s + 1 for s in range(4)])
        found = BlockMean.of(blocks)
        assert found is not None
        symmetric = [rng.normal(size=8) for _ in range(4)]
        wins = [(x > 0).astype(np.float64) for x in symmetric]
        for i, (interval, truth) in enumerate(
            [
                (found.interval(0.95), true),
                (interquartile_mean(symmetric, drawn, 0.95).interval, 0.0),
                (improvement(wins, drawn, 0.95).interval, 0.5),
            ]
        ):
            assert interval is not None
            covered[i] += interval.low <= truth <= interval.high
    assert (covered / suites > 0.9).all(), covered / suites
    assert (covered / suites < 0.985).all(), covered / suites
