from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from initbench.statistics.correction import Correction, correct, level_to_beat
from initbench.statistics.tests import welch

ps = st.lists(st.none() | st.floats(0, 1), max_size=8)


@pytest.fixture(scope="module", autouse=True)
def little_garbage() -> Iterator[None]:
    """Keep what exists out of the way: statsmodels collects garbage in each call of Holm."""
    gc.freeze()
    yield
    gc.unfreeze()


def by_statsmodels(family: list[float], method: Correction) -> list[float]:
    return list(multipletests(family, method=method)[1]) if family else []


@given(ps)
def test_holm_is_that_of_statsmodels_and_rule_17_undefined_p_values_do_not_count(
    family: list[float | None],
) -> None:
    corrected = correct(family, "holm")
    raw = [p for p in family if p is not None]
    holm = [p for p in corrected if p is not None]
    assert [p is None for p in corrected] == [p is None for p in family]
    assert holm == pytest.approx(by_statsmodels(raw, "holm"))
    assert all(h >= p for p, h in zip(raw, holm, strict=True))
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(np.array(holm)[order]) >= 0)


@given(ps)
def test_bonferroni_by_hand(family: list[float | None]) -> None:
    size = sum(p is not None for p in family)
    expected = [None if p is None else min(1.0, size * p) for p in family]
    assert correct(family, "bonferroni") == pytest.approx(expected)


def test_none_leaves_p_values_as_they_are() -> None:
    assert correct([0.01, None, 0.2], "none") == [0.01, None, 0.2]
    assert correct([None], "holm") == [None]
    assert correct([], "bonferroni") == []


@given(ps, st.sampled_from(["holm", "bonferroni", "none"]))
def test_rule_25_an_open_comparison_that_beats_the_level_becomes_significant(
    family: list[float | None], method: Correction
) -> None:
    alpha = 0.05
    corrected = correct(family, method)
    level = level_to_beat(corrected, method, alpha)
    for i, p in enumerate(corrected):
        if p is not None and p > alpha:
            better: list[float | None] = [*family[:i], level * 0.999, *family[i + 1 :]]
            changed = correct(better, method)[i]
            assert changed is not None
            assert changed <= alpha


def test_holm_over_welch_tests_keeps_the_error_of_the_family() -> None:
    rng, suites, wrong = np.random.default_rng(0), 600, 0
    for _ in range(suites):
        reference = rng.normal(size=25)
        found = [welch(rng.normal(size=25), reference) for _ in range(5)]
        corrected = correct([test.p if test else None for test in found], "holm")
        wrong += any(p is not None and p <= 0.05 for p in corrected)
    assert 0.015 < wrong / suites < 0.06
