"""The noise of a finite test set is what other images would change, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as of_statsmodels

from initbench.statistics.test_set import mcnemar, on_images


def networks(seed: int, count: int, images: int, ease: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Networks that classify each image correctly with the probability `ease` of that image."""
    return np.random.default_rng(seed).random((count, images)) < ease


def rising(images: int) -> NDArray[np.float64]:
    return np.linspace(0.5, 1.0, images)


bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@settings(derandomize=True, max_examples=60)
@given(bits)
def test_mcnemar_is_that_of_statsmodels(drawn: list[tuple[bool, bool]]) -> None:
    here, there = np.array(drawn, dtype=np.bool_).T
    table = [[(here & there).sum(), (here & ~there).sum()],
             [(~here & there).sum(), (~here & ~there).sum()]]  # fmt: skip
    if (here == there).all():  # statsmodels has no number for it
        assert mcnemar(here, there) == 1.0
    else:
        expected = of_statsmodels(table, exact=True).pvalue
        assert mcnemar(here, there) == pytest.approx(expected)


def test_one_network_against_one_has_mcnemars_test_and_more_have_none() -> None:
    first, second = networks(0, 3, 500, rising(500)), networks(1, 3, 500, rising(500) - 0.1)
    alone = on_images(first[:1], second[:1])
    assert alone is not None
    assert alone.mcnemar_p == mcnemar(first[0], second[0])
    together = on_images(first, second)
    assert together is not None
    assert together.mcnemar_p is None


def test_the_difference_is_that_of_mean_accuracies_whatever_the_number_of_networks() -> None:
    first, second = networks(0, 5, 400, rising(400)), networks(1, 3, 400, rising(400))
    found = on_images(first, second)
    assert found is not None
    assert found.images == 400
    assert found.difference == pytest.approx(
        np.mean([x.mean() for x in first]) - np.mean([x.mean() for x in second])
    )


def test_the_interval_is_that_of_a_paired_bootstrap_over_images() -> None:
    first, second = networks(0, 4, 2000, rising(2000)), networks(1, 4, 2000, rising(2000) - 0.02)
    found = on_images(first, second, 0.9)
    assert found is not None
    assert found.interval is not None
    rng = np.random.default_rng(5)
    drawn = [rng.integers(2000, size=2000) for _ in range(4000)]
    resampled = [first[:, i].mean() - second[:, i].mean() for i in drawn]
    low, high = np.quantile(resampled, [0.05, 0.95])
    width = high - low
    assert found.interval == pytest.approx((low, high), abs=0.04 * width)


def test_the_interval_covers_what_all_images_would_show() -> None:
    # Four networks of each kind on 20,000 images; test sets of 300 of them are drawn.
    first = networks(2, 4, 20_000, rising(20_000))
    second = networks(3, 4, 20_000, rising(20_000) - 0.05)
    truth = first.mean() - second.mean()
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        some = rng.choice(20_000, size=300, replace=False)
        found = on_images(first[:, some], second[:, some])
        assert found is not None
        assert found.interval is not None
        held += found.interval.low <= truth <= found.interval.high
    low, high = stats.binom.ppf([0.001, 0.999], 400, 0.95)
    assert low <= held <= high


def test_equal_networks_leave_nothing_to_be_tested() -> None:
    same = networks(0, 1, 50, rising(50))
    found = on_images(same, same)
    assert found is not None
    assert (found.difference, found.interval, found.mcnemar_p) == (0.0, None, 1.0)


def test_without_networks_on_a_side_there_is_nothing() -> None:
    some = networks(0, 2, 10, rising(10))
    assert on_images(some[:0], some) is None
    assert on_images(some, some[:0]) is None
