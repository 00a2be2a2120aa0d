"""Claims: what a paper says in words, checked with our trials (rules 105 to 112).

The pairs of one claim are one family, corrected as the suite corrects. `reproduced` if every pair
holds, `not reproduced` if one is shown to be otherwise, `undecided` as long as something is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from initbench.formatting import more_seeds
from initbench.published.kinds import KINDS, Statement
from initbench.published.table import Claim
from initbench.results import ClaimCheck, ClaimPair
from initbench.statistics.comparison import Estimate, Judgement, Test, compare, judge
from initbench.statistics.correction import Correction, correct
from initbench.statistics.tests import one_sided_separation_p

_REVERSED = {"above": "below", "below": "above"}


@dataclass(frozen=True)
class Scene:
    """One model, data set and measure on which a claim is checked.

    `values` holds our trials by published initialiser and seed; `missing` says of all others why
    they are not there.
    """

    model: str
    dataset: str
    settings: Mapping[str, Any]
    measure: str = ""
    unit: str = ""
    direction: str = "higher"
    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    margin: float | None = None
    threshold: float | None = None  # in the unit of the measure
    unpaired: Callable[[str, str], str] = lambda first, second: ""
    """Why equal seeds of two initialisers are no pairs; empty where they are."""

    @property
    def place(self) -> str:
        """Data set and settings, in words."""
        return ", ".join([self.dataset, *(f"{k} {v}" for k, v in self.settings.items())])


@dataclass(frozen=True)
class Rules:
    """How the suite tests."""

    test: Test
    correction: Correction
    confidence: float


def check(
    claim: Claim, scenes: Sequence[Scene], rules: Rules, conditions: Sequence[str] = ()
) -> ClaimCheck:
    """Check a claim on every scene that it is about."""
    asked = [(scene, statement) for scene in scenes for statement in KINDS[claim.kind](claim)]
    pairs = _pairs(asked, rules)
    verdict, reason = _verdict(pairs)
    return ClaimCheck(
        id=claim.id,
        experiment=claim.experiment,
        statement=claim.statement,
        source=claim.source,
        kind=claim.kind,
        verdict=verdict,
        reason=reason,
        pairs=pairs,
        conditions=list(conditions),
        note=claim.note,
    )


def _verdict(
    pairs: Sequence[ClaimPair],
) -> tuple[Literal["reproduced", "not reproduced", "undecided"], str]:
    refuted = [pair for pair in pairs if pair.holds is False]
    if refuted:
        return "not reproduced", _joined([pair.reason for pair in refuted])
    open_ones = [pair for pair in pairs if pair.holds is None]
    if open_ones or not pairs:
        return "undecided", _joined([pair.reason for pair in open_ones])
    return "reproduced", "" if len(pairs) == 1 else f"all {len(pairs)} comparisons hold"


def _joined(reasons: Sequence[str]) -> str:
    """Say each reason once, the first three of them."""
    distinct = list(dict.fromkeys(reasons))
    rest = len(distinct) - 3
    return "; ".join(distinct[:3]) + (f"; and {rest} more" if rest > 0 else "")


def _pairs(asked: Sequence[tuple[Scene, Statement]], rules: Rules) -> list[ClaimPair]:
    """Judge all statements of a claim as one family."""
    estimates = [_estimate(scene, statement, rules) for scene, statement in asked]
    margins = {scene.margin for scene, _ in asked}
    judgements = judge(
        estimates,
        correction=rules.correction,
        confidence=rules.confidence,
        margin=margins.pop() if len(margins) == 1 else None,
    )
    separations = correct([_separation_p(*one) for one in asked], rules.correction)
    alpha = 1 - rules.confidence
    pairs = []
    for (scene, statement), estimate, judgement, separation in zip(
        asked, estimates, judgements, separations, strict=True
    ):
        match statement.expected:
            case "equivalent":
                found = _same(scene, statement, judgement, alpha)
            case "better in every run":
                found = _every_run(scene, statement, separation, alpha)
            case _:
                found = _above(scene, statement, estimate, judgement, alpha)
        interval = estimate.interval
        pairs.append(
            ClaimPair(
                first=statement.first,
                second=_opponent(scene, statement),
                model=scene.model,
                dataset=scene.dataset,
                measure=scene.measure,
                unit=scene.unit,
                settings=dict(scene.settings),
                expected=statement.expected,
                difference=estimate.difference,
                low=interval.low if interval else None,
                high=interval.high if interval else None,
                p_corrected=found.p,
                holds=found.holds,
                reason=found.reason,
            )
        )
    return pairs


def _estimate(scene: Scene, statement: Statement, rules: Rules) -> Estimate:
    """Compare two groups, or one with the threshold: then every seed has it for a partner."""
    first = scene.values.get(statement.first, {})
    if statement.second is None:
        second = dict.fromkeys(first, scene.threshold or 0.0)
        return compare(first, second, test="paired_t", confidence=rules.confidence)
    return compare(
        first,
        scene.values.get(statement.second, {}),
        test=rules.test,
        confidence=rules.confidence,
        margin=scene.margin,
        unpaired_because=scene.unpaired(statement.first, statement.second),
    )


class _Found(NamedTuple):
    """What became of a statement, and the corrected p that decided."""

    holds: bool | None
    reason: str
    p: float | None


def _above(
    scene: Scene, statement: Statement, estimate: Estimate, judgement: Judgement, alpha: float
) -> _Found:
    """Judge `above` and `below`: a significant difference decides by its sign (rule 107)."""
    p, p_equivalence = judgement.p_corrected, judgement.p_equivalence_corrected
    if p is not None and p <= alpha and estimate.difference is not None:
        if (estimate.difference > 0) == (statement.expected == "above"):
            return _Found(True, _said(scene, statement), p)
        return _Found(False, _said(scene, statement, _REVERSED[statement.expected]), p)
    if p_equivalence is not None and p_equivalence <= alpha:
        return _Found(False, _said(scene, statement, "within the margin of"), p_equivalence)
    return _Found(None, _why_open(scene, statement, p, judgement.more_seeds), p)


def _same(scene: Scene, statement: Statement, judgement: Judgement, alpha: float) -> _Found:
    """Judge `equivalent`: two one-sided tests against the margin, before anything (rule 108)."""
    p, p_equivalence = judgement.p_corrected, judgement.p_equivalence_corrected
    if p_equivalence is not None and p_equivalence <= alpha:
        return _Found(True, _said(scene, statement, "equivalent to"), p_equivalence)
    if p is not None and p <= alpha:
        return _Found(False, _said(scene, statement, "different from"), p)
    if scene.margin is None and scene.measure:
        return _Found(None, f"the suite sets no margin for `{scene.measure}`", None)
    why = _why_open(scene, statement, p_equivalence, judgement.more_seeds)
    return _Found(None, why, p_equivalence)


def _every_run(scene: Scene, statement: Statement, p: float | None, alpha: float) -> _Found:
    """Judge `better in every run`: one run to the contrary refutes it (rule 110)."""
    first, second = _sides(scene, statement)
    if not first or not second:
        return _Found(None, _why_open(scene, statement, None), None)
    if p is None:
        return _Found(False, _said(scene, statement, "not better in every run than"), None)
    said = _said(scene, statement, "better in every run than")
    if p <= alpha:
        return _Found(True, said, p)
    return _Found(None, f"{said}, but of so few that chance does it, too (p {p:.2g})", p)


def _separation_p(scene: Scene, statement: Statement) -> float | None:
    """Return the chance that all runs of one side are better, were both sides alike."""
    first, second = _sides(scene, statement)
    if statement.expected != "better in every run" or not first or not second:
        return None
    separated = (
        min(first) > max(second) if scene.direction == "higher" else max(first) < min(second)
    )
    return one_sided_separation_p(len(first), len(second)) if separated else None


def _sides(scene: Scene, statement: Statement) -> tuple[list[float], list[float]]:
    return (
        list(scene.values.get(statement.first, {}).values()),
        list(scene.values.get(statement.second or "", {}).values()),
    )


def _why_open(scene: Scene, statement: Statement, p: float | None, seeds: int | None = None) -> str:
    """Say what a comparison lacks: an initialiser, seeds, finite values, or certainty."""
    absent = [
        scene.missing.get(name, f"`{name}` has not run yet")
        for name in (statement.first, statement.second)
        if name is not None and not scene.values.get(name)
    ]
    if absent:
        return "; ".join(dict.fromkeys(absent))
    values = [x for side in _sides(scene, statement) for x in side]
    if any(math.isinf(x) for x in values):
        return f"the target is missed by runs of {_at(scene, statement.first)} or its opponent"
    if p is None:
        return f"too few runs of {_at(scene, statement.first)} or its opponent"
    relation = "equivalent to" if statement.expected == "equivalent" else statement.expected
    more = f"; {more_seeds(seeds)} might decide" if seeds else ""
    return f"open whether {_said(scene, statement, relation)} (p {p:.2g}{more})"


def _said(scene: Scene, statement: Statement, relation: str | None = None) -> str:
    opponent = _opponent(scene, statement)
    shown = opponent if statement.second is None else f"`{opponent}`"
    return f"`{statement.first}` is {relation or statement.expected} {shown} on {scene.place}"


def _opponent(scene: Scene, statement: Statement) -> str:
    return statement.second if statement.second is not None else f"{scene.threshold:g}"


def _at(scene: Scene, name: str) -> str:
    return f"`{name}` on {scene.place}"
