"""What the page shows of a suite, as text: the template only lays it out.

Everything here is derived from `SuiteResults`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from initbench import formatting
from initbench.leaderboard.across import AcrossTable, across_tables
from initbench.leaderboard.board import boards_of, margin_of
from initbench.leaderboard.parts import Board, Source
from initbench.leaderboard.published import (
    ClaimLine,
    PublishedTable,
    claim_lines,
    published_tables,
    without_ours,
)
from initbench.leaderboard.text import https_url, slug
from initbench.results import DatasetFacts, SuiteResults

ALL_COMPARED = "each initialiser with the reference, and all others with each other"
CORRECTIONS = {
    "holm": "Holm, over all comparisons of one measure",
    "bonferroni": "Bonferroni, over all comparisons of one measure",
    "none": "none",
}


@dataclass(frozen=True)
class SuiteView:
    """One suite, as it is laid out."""

    id: str
    results: SuiteResults
    variant: str
    apart: str  # from other runs of the same suite and profile; empty where there is one
    reduced: str  # the mark that stands wherever numbers of a reduced profile do
    confidence: str
    conditions: list[tuple[str, str]]
    measures: list[str]
    boards: list[Board]
    across: list[AcrossTable]
    published: list[PublishedTable]
    unmatched: list[tuple[str, str]]  # published tables of which we have nothing, and why
    claims: list[ClaimLine]
    sources: list[Source]
    datasets: list[DataView]
    environment: list[tuple[str, str]]


@dataclass(frozen=True)
class DataView:
    """One data set of a suite, as the page describes it."""

    label: str
    marks: list[str]
    summary: str
    images: str  # train / validation / test
    licence: str
    fingerprint: str  # its first digits
    url: str | None


def views_of(results: Sequence[SuiteResults]) -> list[SuiteView]:
    """Arrange suites for the page, each with an anchor of its own."""
    anchors, apart = _anchors(results), _told_apart(results)
    return [_view(*each) for each in zip(results, anchors, apart, strict=True)]


def _view(results: SuiteResults, anchor: str, apart: str) -> SuiteView:
    sources = _sources(results)
    profile = f"profile {results.profile}" if results.profile else ""
    return SuiteView(
        id=anchor,
        results=results,
        variant=" · ".join(part for part in (results.suite, profile, apart) if part),
        apart=apart,
        reduced=f"reduced {profile}".rstrip() if results.reduced else "",
        confidence=f"{100 * results.confidence:g} %",
        conditions=_conditions(results),
        measures=list(dict.fromkeys(row.measure for row in results.rows)),
        boards=boards_of(results, sources, anchor),
        across=across_tables(results, anchor),
        published=published_tables(results),
        unmatched=without_ours(results),
        claims=claim_lines(results),
        sources=sources,
        datasets=[_data(label, facts) for label, facts in results.datasets.items()],
        environment=[(name, _seen(values)) for name, values in results.environment.items()],
    )


_SPLITS = ("train", "validation", "test")


def _data(label: str, facts: DatasetFacts) -> DataView:
    return DataView(
        label=label,
        marks=facts.marks,
        summary=facts.summary,
        images=" / ".join(f"{facts.images[name]:,}" for name in _SPLITS if name in facts.images),
        licence=facts.licence,
        fingerprint=facts.fingerprint[:12],
        url=https_url(facts.url),
    )


def _anchors(results: Sequence[SuiteResults]) -> list[str]:
    """Return an anchor for each suite: its name and profile, with a number where two are alike."""
    names = [slug(f"{suite.suite}-{suite.profile or ''}") or "suite" for suite in results]
    # No slug holds two hyphens in a row, so numbered anchors and the page's own are unlike all
    # others.
    return [
        name if names.count(name) == 1 else f"{name}--{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def _told_apart(results: Sequence[SuiteResults]) -> list[str]:
    """Number the runs of one suite and profile, and say which options each of them had."""
    runs = [(suite.suite, suite.profile) for suite in results]
    return [
        f"run {runs[: i + 1].count(run)} of {runs.count(run)}{_options(suite)}"
        if runs.count(run) > 1
        else ""
        for i, (suite, run) in enumerate(zip(results, runs, strict=True))
    ]


def _options(results: SuiteResults) -> str:
    """Return the options of the command that reproduces a suite, other than its profile."""
    _, _, options = results.command.partition(" --")  # behind `initbench run SUITE`
    others = f" --{options}".replace(f" --profile {results.profile}", "").strip()
    return f": {others}" if options and others else ""


def _conditions(results: SuiteResults) -> list[tuple[str, str]]:
    profile = results.profile or "none: the whole suite"
    seeds = sorted({seed for row in results.rows for seed in row.values})
    statuses = Counter(results.trials.values())
    units = {row.measure: row.unit for row in results.rows}
    margins = [f"{m}: {margin_of(results, m, units.get(m, ''))}" for m in results.margins]
    return [
        ("Reference", results.reference),
        *([("Compared", ALL_COMPARED)] if results.family == "all" else []),
        ("Test", formatting.name_of_test(results.test)),
        ("Correction", CORRECTIONS.get(results.correction, results.correction)),
        ("Confidence", f"{100 * results.confidence:g} %"),
        ("Margins of equivalence", "; ".join(margins) or "none: nothing is called equivalent"),
        ("Seeds", f"{len(seeds)} ({_ranges(seeds)})" if seeds else "none yet"),
        ("Trials", ", ".join(f"{n:,} {status}" for status, n in sorted(statuses.items()))),
        ("Profile", f"{profile} (reduced)" if results.reduced else profile),
    ]


def _ranges(numbers: Sequence[int]) -> str:
    """Write rising numbers as ranges.

    >>> _ranges([0, 1, 2, 5, 7, 8])
    '0–2, 5, 7–8'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _sources(results: SuiteResults) -> list[Source]:
    """Number the cited works in the order of the initialisers; variants of one share a number."""
    labels: dict[tuple[str, str | None, str], list[str]] = {}
    for label, cited in results.citations.items():
        plugin = " ".join(part for part in (cited.get("plugin"), cited.get("version")) if part)
        work = (cited.get("text") or "", cited.get("url"), plugin)
        labels.setdefault(work, []).append(label)
    return [
        Source(number, text, https_url(url), plugin, cited_by)
        for number, ((text, url, plugin), cited_by) in enumerate(labels.items(), start=1)
    ]


def _seen(values: Any) -> str:
    """Write what records saw, with the number of trials where they saw different things.

    >>> _seen({"2.11.0": 8, "2.12.0": 2}), _seen({"cpu": 10})
    ('2.11.0 (8 trials), 2.12.0 (2 trials)', 'cpu')
    """
    if not isinstance(values, Mapping):
        return str(values)
    if len(values) == 1:
        return str(next(iter(values)))
    return ", ".join(f"{value} ({count} trials)" for value, count in values.items())
