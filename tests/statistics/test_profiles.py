from __future__ import annotations

import numpy as np

from initbench.statistics.aggregate import draws
from initbench.statistics.profiles import profile, thresholds


def test_rule_307_a_profile_is_the_share_above_each_threshold_blocks_alike() -> None:
    scores = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5, 2.5])]
    found = profile(scores, np.array([0.0, 2.0, 2.5, 4.0]), [], 0.95)
    assert found.shares.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert found.low is None


def test_rule_307_a_miss_is_never_above_and_sets_no_threshold() -> None:
    scores = [np.array([-np.inf, 1.0]), np.array([3.0, 2.0])]
    at = thresholds(scores)
    assert (at[0], at[-1]) == (1.0, 3.0)
    assert profile(scores, at - 1e-9, [], 0.95).shares[0] == 0.75
    assert len(thresholds([np.array([-np.inf])])) == 0


def test_the_band_agrees_with_a_slow_bootstrap_of_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    scores, drawn = [rng.normal(size=12), rng.normal(size=11)], draws([12, 11], resamples=200)
    at = np.array([-0.5, 0.0, 0.5])
    found = profile(scores, at, drawn, 0.9)
    resampled = [
        [np.mean([(x[d[i]] > t).mean() for x, d in zip(scores, drawn, strict=True)]) for t in at]
        for i in range(200)
    ]
    low, high = np.quantile(resampled, [0.05, 0.95], axis=0)
    assert found.low is not None
    assert found.high is not None
    np.testing.assert_allclose(found.low, low)
    np.testing.assert_allclose(found.high, high)
