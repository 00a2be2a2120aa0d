"""Results of a suite: rows and comparisons, computed from records alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Row:
    """One cell: an initialiser on a model and data set, seen through one measure."""

    initialiser: str
    model: str
    dataset: str
    measure: str
    unit: str
    direction: str
    n: int  # trials that count, those scored by rule included
    failed: int  # of these: diverged or failed, scored by rule
    missing: int  # planned but without an outcome: not run yet, or lost
    mean: float | None  # None where it is not defined (no trial, or infinite values)
    std: float | None
    low: float | None
    high: float | None
    median: float | None
    values: dict[int, float]  # by seed, raw
    note: str = ""
    first_quartile: float | None = None
    third_quartile: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One initialiser against the reference, through one measure, on one model and data set."""

    measure: str
    model: str
    dataset: str
    initialiser: str
    reference: str
    test: str  # "paired_t" or "welch"
    n: int  # pairs, or the smaller group
    difference: float | None  # mean of initialiser minus reference, in the measure's unit
    low: float | None
    high: float | None
    p: float | None
    p_corrected: float | None
    effect: float | None  # Hedges' g
    verdict: Verdict
    more_seeds: int | None  # how many seeds more would decide, where undecided
    sensitivity: dict[str, Any] = field(default_factory=dict)
    """The same values seen otherwise, None where not defined: `paired_t_p`, `welch_p`,
    `wilcoxon_p`, `mann_whitney_p`, `bca_low`, `bca_high`, `correlation` (within pairs),
    `probability_of_improvement`, `cohens_d`; and `without_failures` (test, n, difference, low,
    high, p), None where there are none."""
    note: str = ""
    statistic: float | None = None  # t
    df: float | None = None
    p_equivalence: float | None = None  # of the two one-sided tests against the margin
    p_equivalence_corrected: float | None = None


@dataclass(frozen=True)
class CurveBand:
    """The validation curve of one cell: mean and quartiles over trials, by evaluation."""

    initialiser: str
    model: str
    dataset: str
    steps: list[int]
    mean: list[float]
    low: list[float]  # first quartile
    high: list[float]  # third quartile
    n: int


@dataclass(frozen=True)
class DatasetFacts:
    """What a reader must know about one data set."""

    summary: str
    citation: str
    url: str | None
    licence: str
    fingerprint: str
    images: dict[str, int]  # by split
    marks: list[str]  # what stands beside its numbers, such as `unofficial data`


@dataclass(frozen=True)
class SuiteResults:
    """Everything that terminal, MLflow and page show of one suite."""

    suite: str  # the name it is known by
    profile: str | None
    reduced: bool
    title: str
    question: str
    citation: str | None
    reference: str
    test: str
    correction: str
    confidence: float
    command: str  # that reproduces it
    rows: list[Row]
    comparisons: list[Comparison]
    curves: list[CurveBand]
    coverage: list[
        dict[str, Any]
    ]  # initialiser, model, dataset, generated, rule, fallback, untouched
    cost: list[
        dict[str, Any]
    ]  # initialiser, model, dataset, wall_seconds, device_seconds, fit_seconds, ...
    failures: list[dict[str, Any]]  # trial, initialiser, model, dataset, seed, status, message
    citations: dict[
        str, dict[str, str | None]
    ]  # by initialiser label: text, url, scope, plugin, version
    datasets: dict[str, DatasetFacts]  # by data set label
    trials: dict[str, str]  # trial key -> status, "missing" where there is no record
    environment: dict[str, Any]  # versions seen in the records, each with its count
    notes: list[str] = field(default_factory=list)
    margins: dict[str, float] = field(default_factory=dict)  # by measure label, in its unit

    def marks(self, dataset: str) -> list[str]:
        """Return what stands beside every number on a data set, such as `unofficial data`."""
        facts = self.datasets.get(dataset)
        return facts.marks if facts else []


def best_first(
    row: Row, reference: str, compared: Mapping[str, Comparison]
) -> tuple[int, float, str]:
    """Return the sort key that puts rows of one cell in order: by the mean, the best first.

    Rows without a mean come after these, by their difference to the reference, then the rest.
    `compared` holds the comparisons of the cell by initialiser.
    """
    sign = -1 if row.direction == "higher" else 1
    if row.mean is not None and not math.isnan(row.mean):
        return 0, sign * row.mean, row.initialiser
    comparison = compared.get(row.initialiser)
    difference = comparison.difference if comparison else None
    if difference is None and row.initialiser == reference and row.n:
        difference = 0.0
    if difference is None or math.isnan(difference):
        return 2, 0.0, row.initialiser
    return 1, sign * difference, row.initialiser
