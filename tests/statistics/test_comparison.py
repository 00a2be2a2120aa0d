from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from initbench.statistics.comparison import Estimate, compare, judge
from initbench.statistics.effect import hedges_g
from initbench.statistics.interval import bca_paired, paired_interval, welch_interval
from initbench.statistics.power import seeds_for_difference, seeds_for_equivalence

REFERENCE = dict(enumerate([0.90, 0.90, 0.93, 0.92, 0.88, 0.91, 0.89, 0.92]))
BETTER = dict(enumerate([0.95, 0.94, 0.96, 0.96, 0.94, 0.95, 0.93, 0.97]))
ALIKE = dict(enumerate([0.901, 0.899, 0.931, 0.919, 0.881, 0.910, 0.889, 0.921]))


def arrays(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[list[float], list[float]]:
    return list(a.values()), list(b.values())


def test_a_paired_comparison_is_made_of_the_tests_beside_it() -> None:
    found = compare(BETTER, REFERENCE, margin=0.01)
    a, b = arrays(BETTER, REFERENCE)
    expected = stats.ttest_rel(a, b)
    assert (found.test, found.n, found.notes) == ("paired_t", 8, ())
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert found.interval == paired_interval(a, b)
    assert (found.statistic, found.df, found.p) == pytest.approx(
        (expected.statistic, 7, expected.pvalue)
    )
    assert found.effect == hedges_g(a, b, paired=True)
    assert found.sensitivity.welch_p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert found.sensitivity.paired_t_p == found.p
    assert found.sensitivity.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert found.sensitivity.probability_of_improvement == 1.0
    assert found.sensitivity.wilcoxon_p is not None
    assert found.sensitivity.mann_whitney_p is not None
    assert found.sensitivity.bca_low is None


def test_rule_10_pairs_are_made_by_seed_not_by_position() -> None:
    shuffled = {seed: BETTER[seed] for seed in reversed(BETTER)}
    assert compare(shuffled, REFERENCE) == compare(BETTER, REFERENCE)
    assert compare(shuffled, REFERENCE, test="welch") == compare(BETTER, REFERENCE, test="welch")


def test_a_suite_that_declares_welch_gets_welch() -> None:
    found = compare(BETTER, REFERENCE, test="welch")
    a, b = arrays(BETTER, REFERENCE)
    assert found.test == "welch"
    assert found.interval == welch_interval(a, b)
    assert found.p == found.sensitivity.welch_p
    assert found.effect == hedges_g(a, b, paired=False)
    assert found.sensitivity.paired_t_p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert found.notes == ()


def test_a_suite_that_declares_student_gets_student_in_every_part() -> None:
    a, b = BETTER, dict(list(REFERENCE.items())[:5])
    found = compare(a, b, test="student_t", margin=0.1)
    x, y = arrays(a, b)
    expected = stats.ttest_ind(x, y, equal_var=True)
    low, high = expected.confidence_interval(0.95)
    assert (found.test, found.n, found.notes) == ("student_t", 5, ())
    assert (found.statistic, found.df, found.p) == pytest.approx(
        (expected.statistic, 11, expected.pvalue)
    )
    assert found.interval == pytest.approx((low, high))
    assert found.p == found.sensitivity.student_p
    shifted = [stats.ttest_ind(np.add(x, s), y, equal_var=True) for s in (0.1, -0.1)]
    one_sided = [
        r.pvalue / 2 if r.statistic * s > 0 else 1 - r.pvalue / 2
        for r, s in zip(shifted, (1, -1), strict=True)
    ]
    assert found.p_equivalence == pytest.approx(max(one_sided))
    assert found.spread is not None
    pooled = (7 * np.var(x, ddof=1) + 4 * np.var(y, ddof=1)) / 11
    assert (found.spread.sd, found.spread.freedom) == pytest.approx((math.sqrt(2 * pooled), 2))


def test_rule_11_lone_seeds_break_pairing_and_welch_takes_all_values() -> None:
    fewer = {s: v for s, v in REFERENCE.items() if s not in (2, 5)}
    found = compare(BETTER, fewer)
    a, b = arrays(BETTER, fewer)
    assert (found.test, found.n) == ("welch", 6)
    assert found.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert "seeds 2, 5" in found.notes[0]


def test_rule_11_other_batches_break_pairing() -> None:
    found = compare(BETTER, REFERENCE, unpaired_because="seed 0 saw other batches")
    assert found.test == "welch"
    assert "other batches" in found.notes[0]
    assert found.sensitivity.paired_t_p is None
    assert found.sensitivity.correlation is None


def test_rule_8_the_bootstrap_comes_with_20_seeds_beside_the_t_interval() -> None:
    rng = np.random.default_rng(0)
    a, b = (dict(enumerate(x)) for x in rng.normal(size=(2, 20)))
    found = compare(a, b)
    expected = bca_paired(*arrays(a, b))
    assert expected is not None
    assert (found.sensitivity.bca_low, found.sensitivity.bca_high) == tuple(expected)
    assert found.interval == paired_interval(*arrays(a, b))


def test_one_seed_gives_a_difference_and_nothing_else() -> None:
    found = compare({0: 0.9}, {0: 0.8}, margin=0.01)
    assert found.difference == pytest.approx(0.1)
    assert (found.n, found.interval, found.p, found.effect) == (1, None, None, None)
    assert found.p_equivalence is None
    assert "one seed" in found.notes[0]
    judgement = judge([found], margin=0.01)[0]
    assert (judgement.verdict, judgement.more_seeds) == ("undecided", None)


def test_two_seeds_are_tested() -> None:
    found = compare({0: 0.9, 1: 0.8}, {0: 0.8, 1: 0.78})
    assert found.p == pytest.approx(stats.ttest_rel([0.9, 0.8], [0.8, 0.78]).pvalue)
    assert found.interval is not None


@pytest.mark.parametrize(("a", "b"), [({}, {0: 0.9, 1: 0.8}), ({0: 0.9}, {}), ({}, {})])
def test_nothing_on_one_side_is_undecided(a: dict[int, float], b: dict[int, float]) -> None:
    found = compare(a, b)
    assert (found.n, found.difference, found.p) == (0, None, None)
    assert judge([found])[0].verdict == "undecided"


def test_rule_16_identical_values() -> None:
    found = compare(REFERENCE, REFERENCE, margin=0.01)
    assert (found.difference, found.p, found.interval) == (0.0, 1.0, None)
    assert "zero" in found.notes[0]
    assert judge([found], margin=0.01)[0].verdict == "equivalent"  # rule 20
    assert judge([found])[0].verdict == "equivalent"
    without_margin = judge([compare(REFERENCE, REFERENCE)])[0]
    assert (without_margin.verdict, without_margin.more_seeds) == ("undecided", None)


def test_rule_16_a_constant_difference_is_decided_from_six_seeds_on() -> None:
    slower = dict.fromkeys(range(6), 20.0)
    faster = dict.fromkeys(range(6), 10.0)
    found = compare(faster, slower, direction="lower")
    assert found.p == pytest.approx(2 / 2**6)
    assert judge([found], direction="lower")[0].verdict == "better"
    five = compare(dict.fromkeys(range(5), 10.0), dict.fromkeys(range(5), 20.0), direction="lower")
    assert five.p is None
    assert judge([five], direction="lower")[0].verdict == "undecided"


def test_rule_4_infinite_values_without_a_cap_are_ranked_only() -> None:
    missed = dict.fromkeys(range(8), math.inf)
    found = compare(missed, REFERENCE, direction="lower")
    assert (found.difference, found.p, found.interval) == (None, None, None)
    assert found.sensitivity.mann_whitney_p is not None
    assert found.sensitivity.probability_of_improvement == 0.0
    assert "infinite" in found.notes[0]
    assert judge([found], direction="lower")[0].verdict == "undecided"


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        compare({0: math.nan, 1: 1.0}, {0: 1.0, 1: 1.0})


accuracies = st.integers(0, 1000).map(lambda k: k / 1000)
groups = st.lists(st.tuples(accuracies, accuracies), min_size=2, max_size=10)


@given(groups)
def test_swapping_the_groups_flips_difference_effect_and_verdict(
    sample: list[tuple[float, float]],
) -> None:
    a, b = (dict(enumerate(x)) for x in zip(*sample, strict=True))
    there, back = compare(a, b), compare(b, a)
    assert there.difference is not None
    assert back.difference == pytest.approx(-there.difference)
    assert back.p == there.p
    if there.effect is not None:
        assert back.effect == pytest.approx(-there.effect)
    if there.interval is not None:
        assert back.interval is not None
        assert tuple(back.interval) == pytest.approx((-there.interval.high, -there.interval.low))
    opposite = {"better": "worse", "worse": "better"}
    verdict, other = (judge([e], correction="none")[0].verdict for e in (there, back))
    assert other == opposite.get(verdict, verdict)
    higher, lower = (judge([there], correction="none", direction=d)[0] for d in ("higher", "lower"))
    assert lower.verdict == opposite.get(higher.verdict, higher.verdict)


# --- the family ---------------------------------------------------------------------------------


def estimate(
    p: float | None, difference: float = 0.1, p_equivalence: float | None = None
) -> Estimate:
    return Estimate("paired_t", 10, difference, p=p, p_equivalence=p_equivalence)


def test_rule_22_the_verdict_takes_the_corrected_p_and_the_direction() -> None:
    family = [estimate(0.03), estimate(0.001, -0.1), estimate(None), estimate(0.04)]
    judged = judge(family)
    assert [j.p_corrected for j in judged] == [0.06, 0.003, None, 0.06]
    assert [j.verdict for j in judged] == ["undecided", "worse", "undecided", "undecided"]
    assert [j.verdict for j in judge(family, direction="lower")][1] == "better"
    assert next(j.verdict for j in judge(family, correction="none")) == "better"
    assert next(j.verdict for j in judge(family, confidence=0.9)) == "better"
    assert judge([]) == []


def test_rule_19_equivalence_is_a_family_of_its_own() -> None:
    family = [estimate(0.4, p_equivalence=0.03), estimate(0.9, p_equivalence=0.01)]
    judged = judge(family, margin=0.2)
    assert [j.p_equivalence_corrected for j in judged] == [0.03, 0.02]
    assert [j.verdict for j in judged] == ["equivalent", "equivalent"]
    assert [j.p_corrected for j in judged] == [0.8, 0.9]


def test_rule_21_equivalent_goes_before_significant() -> None:
    judged = judge([estimate(0.001, p_equivalence=0.001)], margin=0.2)[0]
    assert judged.verdict == "equivalent"
    assert "not zero" in judged.notes[0]


@pytest.mark.parametrize(
    ("values", "verdict"), [(BETTER, "better"), (ALIKE, "equivalent"), (REFERENCE, "equivalent")]
)
def test_values_become_verdicts(values: dict[int, float], verdict: str) -> None:
    family = [compare(values, REFERENCE, margin=0.01), compare(BETTER, REFERENCE, margin=0.01)]
    assert judge(family, margin=0.01)[0].verdict == verdict


def test_rule_24_undecided_says_how_many_seeds_more() -> None:
    values = {s: v + (0.02 if s % 2 else -0.012) for s, v in REFERENCE.items()}
    found = compare(values, REFERENCE, margin=0.015)
    assert found.spread is not None
    assert found.difference is not None
    by_difference = seeds_for_difference(found.spread, found.difference, 0.05)
    by_equivalence = seeds_for_equivalence(found.spread, found.difference, 0.015, 0.05)
    assert by_difference is not None
    assert by_equivalence is not None
    assert by_equivalence < by_difference
    assert judge([found], margin=0.015)[0].more_seeds == by_equivalence - 8
    assert judge([found])[0].more_seeds == by_difference - 8


def test_rule_25_a_larger_family_asks_for_more_seeds() -> None:
    values = {s: v + (0.03 if s % 3 else -0.03) for s, v in REFERENCE.items()}
    open_one, decided = compare(values, REFERENCE), compare(BETTER, REFERENCE)
    alone = judge([open_one])[0].more_seeds
    beside_open = judge([open_one] * 4)[0].more_seeds
    beside_decided = judge([open_one, decided, decided, decided])[0].more_seeds
    bonferroni = judge([open_one, decided, decided, decided], correction="bonferroni")[0].more_seeds
    assert alone is not None
    assert beside_open is not None
    assert alone < beside_open
    assert beside_decided == alone
    assert bonferroni == beside_open


def test_importing_the_room_does_not_load_scipy() -> None:
    code = (
        "import sys, initbench.statistics.comparison, initbench.reporting\n"
        "heavy = {'scipy', 'statsmodels', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
