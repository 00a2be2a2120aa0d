"""Published values and claims, as the page lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from initbench import formatting
from initbench.leaderboard.parts import Cell
from initbench.published.display import (
    beside_groups,
    claim_mark,
    inside_mark,
    of_group,
    pair_text,
    published_text,
    remark,
    settings_text,
    shared_conditions,
    source_text,
)
from initbench.results import Beside, ClaimCheck, SuiteResults


@dataclass(frozen=True)
class PublishedLine:
    """A published value and ours."""

    initialiser: str
    settings: str
    published: Cell
    ours: Cell
    interval: str
    trials: Cell
    difference: Cell
    predicted: str
    agreement: str
    agrees: bool | None
    remark: str  # what holds for this line and not for all


@dataclass(frozen=True)
class PublishedTable:
    """The values of one metric, on one model and data set of a paper."""

    title: str
    unit: str
    source: str
    has_settings: bool
    differs: list[str]  # for all lines alike
    notes: list[str]
    lines: list[PublishedLine]


@dataclass(frozen=True)
class ClaimLine:
    """What a paper says in words, and what became of it."""

    statement: str
    source: str
    verdict: str
    mark: formatting.Mark
    reason: str
    pairs: list[str]
    differs: list[str]


def published_tables(results: SuiteResults) -> list[PublishedTable]:
    """Return a table for each metric, model and data set of which we have something."""
    groups = beside_groups(results.beside)
    return [_table(group) for group in groups if any(row.n for row in group)]


def without_ours(results: SuiteResults) -> list[tuple[str, str]]:
    """Return the tables of which we have nothing: what they are, and why."""
    return [
        (of_group(group[0]), "; ".join(dict.fromkeys(row.reason for row in group)))
        for group in beside_groups(results.beside)
        if not any(row.n for row in group)
    ]


def claim_lines(results: SuiteResults) -> list[ClaimLine]:
    """Return a line for each claim about what a suite repeats."""
    return [_claim(claim) for claim in results.claims]


def _table(group: Sequence[Beside]) -> PublishedTable:
    shared = shared_conditions(group)
    settings = [settings_text(row) for row in group]
    return PublishedTable(
        title=of_group(group[0]),
        unit=formatting.unit_of_values(group[0].unit),
        source=source_text(group),
        has_settings=any(settings),
        differs=shared,
        notes=list(dict.fromkeys(row.note for row in group if row.note)),
        lines=[_line(row, shared) for row in group],
    )


def _line(row: Beside, shared: Sequence[str]) -> PublishedLine:
    predicted = formatting.interval(row.predicted_low, row.predicted_high, row.unit)
    interval = formatting.interval(row.low, row.high, row.unit)
    undefined = formatting.UNDEFINED
    return PublishedLine(
        initialiser=row.initialiser,
        settings=settings_text(row),
        published=Cell.number(published_text(row), row.published),
        ours=Cell.number(formatting.value(row.mean, row.unit), row.mean),
        interval="" if interval == undefined else interval,
        trials=Cell(str(row.n) if row.n else undefined, row.n or None),
        difference=Cell.number(formatting.difference(row.difference, row.unit), row.difference),
        predicted=predicted,
        agreement=inside_mark(row),
        agrees=row.inside,
        remark=remark(row, shared),
    )


def _claim(claim: ClaimCheck) -> ClaimLine:
    return ClaimLine(
        statement=claim.statement,
        source=claim.source,
        verdict=claim.verdict.replace(" ", "-"),
        mark=claim_mark(claim.verdict),
        reason=claim.reason,
        pairs=[pair_text(pair) for pair in claim.pairs if pair.difference is not None],
        differs=[*claim.conditions, *([claim.note] if claim.note else [])],
    )
