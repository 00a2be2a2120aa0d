"""Comparing two initialisers: estimates first, then verdicts over the family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from initbench.statistics.correction import Correction, correct, level_to_beat
from initbench.statistics.effect import (
    cohens_d,
    correlation,
    hedges_g,
    probability_of_improvement,
)
from initbench.statistics.equivalence import tost_paired, tost_student, tost_welch
from initbench.statistics.interval import (
    Interval,
    bca_independent,
    bca_paired,
    paired_interval,
    student_interval,
    welch_interval,
)
from initbench.statistics.power import Spread, seeds_for_difference, seeds_for_equivalence
from initbench.statistics.sample import Array
from initbench.statistics.tests import TTest, mann_whitney, paired_t, student, welch, wilcoxon

Test = Literal["paired_t", "welch", "student_t"]
Direction = Literal["higher", "lower"]
Verdict = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Sensitivity:
    """The other ways to look at the same values (rule 12); None where one is not defined."""

    paired_t_p: float | None = None
    welch_p: float | None = None
    wilcoxon_p: float | None = None
    mann_whitney_p: float | None = None
    bca_low: float | None = None
    bca_high: float | None = None
    correlation: float | None = None  # within pairs
    probability_of_improvement: float | None = None
    cohens_d: float | None = None
    student_p: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What two groups of values say about their difference, apart from other comparisons."""

    test: Test  # the one that was made
    n: int  # pairs, or the smaller group
    difference: float | None = None  # mean of the values minus mean of the reference
    interval: Interval | None = None
    statistic: float | None = None
    df: float | None = None
    p: float | None = None
    effect: float | None = None  # Hedges' g
    p_equivalence: float | None = None
    spread: Spread | None = None
    sensitivity: Sensitivity = Sensitivity()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What an estimate amounts to within its family."""

    verdict: Verdict
    p_corrected: float | None
    p_equivalence_corrected: float | None
    more_seeds: int | None
    notes: tuple[str, ...] = ()


def compare(
    values: Mapping[int, float],
    reference: Mapping[int, float],
    *,
    test: Test = "paired_t",
    confidence: float = 0.95,
    margin: float | None = None,
    direction: Direction = "higher",
    unpaired_because: str = "",
) -> Estimate:
    """Estimate the difference between an initialiser and the reference on one model and data set.

    Args:
        values: the measure by seed; infinite where a target was missed and has no cap (rule 4).
        reference: the same for the reference.
        test: the primary test that the suite declares.
        confidence: of the intervals.
        margin: differences smaller than this are equivalent; None leaves equivalence out.
        direction: which values are better.
        unpaired_because: why equal seeds are no pairs, if they are not; empty if they are.

    Raises:
        ValueError: if a value is NaN.
    """
    if any(math.isnan(x) for x in (*values.values(), *reference.values())):
        raise ValueError("a value is NaN; every trial that counts has a number (rules 1 to 4)")
    notes = []
    broken = unpaired_because or _lone_seeds(values, reference)
    if test == "paired_t" and broken:
        test = "welch"
        notes.append(f"pairing is broken ({broken}): Welch's test on all values")
    design = _DESIGNS[test]
    pairs = _pairs({} if unpaired_because else values, reference)
    a, b = pairs if design.paired else (_by_seed(values), _by_seed(reference))
    n = min(len(a), len(b))
    if n == 0:
        return Estimate(test, n, notes=(*notes, "no values on one side"))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        notes.append("infinite values without a cap: no test of means")
        sensitivity = Sensitivity(
            mann_whitney_p=mann_whitney(a, b),
            probability_of_improvement=_improvement(a, b, design, direction),
        )
        return Estimate(test, n, sensitivity=sensitivity, notes=tuple(notes))
    tested = design.test(a, b) or TTest(None, None, None, "one seed: nothing can be tested")
    if tested.note:
        notes.append(tested.note)
    return Estimate(
        test=test,
        n=n,
        difference=float(a.mean() - b.mean()),
        interval=design.interval(a, b, confidence),
        statistic=tested.statistic,
        df=tested.df,
        p=tested.p,
        effect=hedges_g(a, b, paired=design.paired),
        p_equivalence=None if margin is None else design.equivalence(a, b, margin),
        spread=design.spread(a, b),
        sensitivity=_sensitivity((a, b), pairs, design, confidence, direction),
        notes=tuple(notes),
    )


def judge(
    family: Sequence[Estimate],
    *,
    correction: Correction = "holm",
    confidence: float = 0.95,
    margin: float | None = None,
    direction: Direction = "higher",
) -> list[Judgement]:
    """Decide every comparison of one family: those of one measure in a suite (rules 17 to 25).

    `confidence`, `margin` and `direction` are those given to `compare`.
    """
    alpha = 1 - confidence
    ps = correct([e.p for e in family], correction)
    equivalence_ps = correct([e.p_equivalence for e in family], correction)
    rule = _Rule(
        alpha=alpha,
        margin=margin,
        direction=direction,
        level=level_to_beat(ps, correction, alpha),
        equivalence_level=level_to_beat(equivalence_ps, correction, alpha),
    )
    return [
        _judgement(estimate, p, q, rule)
        for estimate, p, q in zip(family, ps, equivalence_ps, strict=True)
    ]


@dataclass(frozen=True)
class _Rule:
    """What decides a comparison, the same for the whole family."""

    alpha: float
    margin: float | None
    direction: Direction
    level: float  # that the raw p of an open comparison must reach
    equivalence_level: float


def _judgement(
    estimate: Estimate, p: float | None, p_equivalence: float | None, rule: _Rule
) -> Judgement:
    significant = p is not None and p <= rule.alpha
    if p_equivalence is not None and p_equivalence <= rule.alpha:
        notes = ("not zero, but within the margin",) if significant else ()
        return Judgement("equivalent", p, p_equivalence, None, notes)
    if significant and estimate.difference is not None:
        higher = estimate.difference > 0
        verdict: Verdict = "better" if higher == (rule.direction == "higher") else "worse"
        return Judgement(verdict, p, p_equivalence, None)
    return Judgement("undecided", p, p_equivalence, _more_seeds(estimate, rule))


def _more_seeds(estimate: Estimate, rule: _Rule) -> int | None:
    """Return how many seeds more would decide with 80 % power, if what was seen is true."""
    if estimate.spread is None or estimate.difference is None:
        return None
    spread, difference = estimate.spread, estimate.difference
    totals = [seeds_for_difference(spread, difference, rule.level)]
    if rule.margin is not None:
        totals.append(
            seeds_for_equivalence(spread, difference, rule.margin, rule.equivalence_level)
        )
    enough = [total for total in totals if total is not None]
    return max(min(enough) - estimate.n, 1) if enough else None


@dataclass(frozen=True)
class _Design:
    """The functions that belong together, for pairs or for independent groups."""

    paired: bool
    test: Callable[[Array, Array], TTest | None]
    interval: Callable[[Array, Array, float], Interval | None]
    bootstrap: Callable[[Array, Array, float], Interval | None]
    equivalence: Callable[[Array, Array, float], float | None]
    spread: Callable[[Array, Array], Spread | None]


_DESIGNS: dict[Test, _Design] = {
    "paired_t": _Design(True, paired_t, paired_interval, bca_paired, tost_paired, Spread.of_pairs),
    "welch": _Design(False, welch, welch_interval, bca_independent, tost_welch, Spread.of_groups),
    "student_t": _Design(
        False, student, student_interval, bca_independent, tost_student, Spread.of_pooled_groups
    ),
}


def _sensitivity(
    groups: tuple[Array, Array],
    pairs: tuple[Array, Array],
    design: _Design,
    confidence: float,
    direction: Direction,
) -> Sensitivity:
    a, b = groups
    bootstrap = design.bootstrap(a, b, confidence)
    by_pair, by_group, pooled = paired_t(*pairs), welch(a, b), student(a, b)
    return Sensitivity(
        paired_t_p=by_pair.p if by_pair else None,
        welch_p=by_group.p if by_group else None,
        wilcoxon_p=wilcoxon(*pairs),
        mann_whitney_p=mann_whitney(a, b),
        bca_low=bootstrap.low if bootstrap else None,
        bca_high=bootstrap.high if bootstrap else None,
        correlation=correlation(*pairs),
        probability_of_improvement=_improvement(a, b, design, direction),
        cohens_d=cohens_d(a, b),
        student_p=pooled.p if pooled else None,
    )


def _improvement(a: Array, b: Array, design: _Design, direction: Direction) -> float | None:
    return probability_of_improvement(
        a, b, paired=design.paired, higher_is_better=direction == "higher"
    )


def _pairs(values: Mapping[int, float], reference: Mapping[int, float]) -> tuple[Array, Array]:
    seeds = values.keys() & reference.keys()
    return _by_seed({s: values[s] for s in seeds}), _by_seed({s: reference[s] for s in seeds})


def _by_seed(values: Mapping[int, float]) -> Array:
    return np.array([values[seed] for seed in sorted(values)], dtype=np.float64)


def _lone_seeds(values: Mapping[int, float], reference: Mapping[int, float]) -> str:
    lone = sorted(values.keys() ^ reference.keys())
    if not lone:
        return ""
    shown = ", ".join(str(seed) for seed in lone[:5]) + (", ..." if len(lone) > 5 else "")
    return f"on one side only: seed{'s' if len(lone) > 1 else ''} {shown}"
