"""Results of a suite: rows and comparisons, computed from records alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    parts: list[float] = field(default_factory=list)
    """Where trials are looked at together: the value of each ensemble or pair, of which the
    quartiles are; `values` are then pseudo-values, one a trial."""
    sensitivity: dict[str, float | None] = field(default_factory=dict)
    """The same values seen otherwise, None where not defined: `bca_low`, `bca_high` (of the mean),
    `median_low`, `median_high`, `shapiro_wilk_p`."""
    limit: float | None = None  # how far a miss was watched; None where there is no target


@dataclass(frozen=True)
class Comparison:
    """One initialiser against another, through one measure, on one model and data set."""

    measure: str
    model: str
    dataset: str
    initialiser: str
    reference: str  # of the suite, or another where the suite compares all
    test: str  # "paired_t", "welch" or "student_t"
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
    `probability_of_improvement`, `cohens_d`, `student_p`; `log_rank_p`, for speeds; and
    `without_failures` (test, n, difference, low, high, p), None where there are none. Where the
    measure asks for it, `test_images`: what the finite test set leaves open for these networks
    (images, networks, networks_of_reference, difference, low, high, mcnemar_p)."""
    note: str = ""
    statistic: float | None = None  # t
    df: float | None = None
    p_equivalence: float | None = None  # of the two one-sided tests against the margin
    p_equivalence_corrected: float | None = None


@dataclass(frozen=True)
class Aggregate:
    """One initialiser on all blocks, through one measure; differences are in yardsticks."""

    initialiser: str
    mean_rank: float  # over blocks
    best_rank: int  # that the data leave open, by the mean over blocks
    worst_rank: int
    profile: list[float]  # share of trials above each threshold; empty for pseudo-values
    profile_low: list[float]  # empty without a bootstrap
    profile_high: list[float]
    difference: float | None = None  # mean over blocks; this and the rest: to the reference
    low: float | None = None  # t interval
    high: float | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None
    interquartile_mean: float | None = None  # of the differences of all pairs
    interquartile_low: float | None = None
    interquartile_high: float | None = None
    improvement: float | None = None  # probability of being the better one of a pair
    improvement_low: float | None = None
    improvement_high: float | None = None


@dataclass(frozen=True)
class Aggregates:
    """All initialisers on all blocks of a suite, through one measure (rules 303 to 309).

    A block is one model and data set; its yardstick is what its differences are divided by.
    """

    measure: str
    direction: str
    unit: str
    reference: str
    blocks: list[tuple[str, str]]  # model, data set
    pairs: list[int]  # seeds of each block
    yardsticks: list[float] = field(default_factory=list)  # of each block, in the measure's unit
    thresholds: list[float] = field(default_factory=list)
    """In yardsticks above the reference's mean; the higher the better."""
    lines: list[Aggregate] = field(default_factory=list)  # none where `note` says why
    friedman_p: float | None = None
    critical_difference: float | None = None  # of mean ranks; None where there are too few blocks
    note: str = ""


@dataclass(frozen=True)
class CurveBand:
    """How training develops in one cell: mean and quartiles over trials, by evaluation."""

    initialiser: str
    model: str
    dataset: str
    steps: list[int]
    mean: list[float]
    low: list[float]  # first quartile
    high: list[float]  # third quartile
    n: int
    quantity: str = "validation accuracy"
    """Or `validation loss`, or `training loss` where tasks follow each other."""


@dataclass(frozen=True)
class LayerBand:
    """What a measure shows of the layers of one cell: median and quartiles over trials."""

    initialiser: str
    model: str
    dataset: str
    measure: str
    unit: str
    logarithmic: bool  # whether it is read in powers of ten
    layers: list[str]  # in forward order
    median: list[float | None]  # None where it is not finite
    low: list[float | None]  # first quartile
    high: list[float | None]  # third quartile
    n: int
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LayerHistograms:
    """How the values of layers are distributed in one cell: the mean over trials of shares."""

    initialiser: str
    model: str
    dataset: str
    measure: str
    quantity: str  # `activations` or `gradients`
    checkpoint: str  # `initial`, `best` or `last`
    layers: list[str]  # in forward order
    deviations: list[float | None]  # of the values of a layer, median over trials; None: not finite
    reach: float  # bins of equal width lie between plus and minus this, the same for all layers
    shares: list[list[float]]  # by layer and bin
    beyond: list[float]  # by layer: the share that lies further out
    n: int


@dataclass(frozen=True)
class LayersOverTraining:
    """What a measure follows over training in the layers of one cell, by layer and evaluation."""

    initialiser: str
    model: str
    dataset: str
    measure: str
    unit: str
    layers: list[str]  # in forward order
    steps: list[int]
    median: list[list[float | None]]  # None where it is not finite
    low: list[list[float | None]]  # first quartile
    high: list[list[float | None]]  # third quartile
    n: list[int]  # trials that came so far: those that diverged end early


@dataclass(frozen=True)
class LastLayer:
    """How the last layer develops over training in one cell: medians over trials."""

    initialiser: str
    model: str
    dataset: str
    layer: str
    steps: list[int]
    mean: dict[str, list[float | None]]  # of `weight`, `activation` and `gradient`
    deviation: dict[str, list[float | None]]
    n: list[int]  # trials that came so far


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
class Beside:
    """A published value and ours; all numbers are in the unit of our measure (rules 101 to 104)."""

    experiment: str
    source: str
    metric: str  # this and the next four as the paper calls them
    settings: dict[str, Any]
    initialiser: str
    model: str
    dataset: str
    unit: str
    published: float | None  # None where only a figure shows it
    published_std: float | None = None
    published_n: int | None = None  # None where it is not stated
    bound: str | None = None  # "upper": the paper only says that the value is below
    shown_as: str = ""  # what kind of figure, where no number is printed
    label: str = ""  # this and the next three as the suite calls them
    our_model: str = ""
    our_dataset: str = ""
    measure: str = ""
    n: int = 0
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None  # ours minus published
    predicted_low: float | None = None
    predicted_high: float | None = None
    inside: bool | None = None  # whether the published value is in the prediction interval
    reason: str = ""  # why something above is not there
    conditions: list[str] = field(default_factory=list)  # what differs from the paper
    note: str = ""


@dataclass(frozen=True)
class ClaimPair:
    """One of the comparisons that a claim stands on."""

    first: str  # published names
    second: str  # a number where it is a threshold
    model: str
    dataset: str
    measure: str
    unit: str
    settings: dict[str, Any]
    expected: str  # "above", "below", "equivalent", "better in every run"
    difference: float | None  # first minus second
    low: float | None
    high: float | None
    p_corrected: float | None
    holds: bool | None  # None: open
    reason: str


@dataclass(frozen=True)
class ClaimCheck:
    """What a paper says in words, and whether our trials say the same (rules 105 to 112)."""

    id: str
    experiment: str
    statement: str
    source: str
    kind: str
    verdict: Literal["reproduced", "not reproduced", "undecided"]
    reason: str
    pairs: list[ClaimPair]
    conditions: list[str]
    note: str = ""


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
    layers: list[LayerBand] = field(default_factory=list)
    histograms: list[LayerHistograms] = field(default_factory=list)
    layers_over_training: list[LayersOverTraining] = field(default_factory=list)
    last_layers: list[LastLayer] = field(default_factory=list)
    losses: list[CurveBand] = field(default_factory=list)
    """Validation losses, where `curves` are accuracies."""
    beside: list[Beside] = field(default_factory=list)  # published values and ours
    claims: list[ClaimCheck] = field(default_factory=list)  # what papers say in words
    aggregates: list[Aggregates] = field(default_factory=list)  # by measure, from two blocks on
    family: str = "reference"  # or "all": who is compared
    between_others: list[Comparison] = field(default_factory=list)
    """Those of two initialisers neither of which is the reference, where `family` is `all`."""

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


def best_ranks_first(lines: Sequence[Aggregate]) -> list[Aggregate]:
    """Return aggregates in the order of their rank intervals, then of their mean ranks."""
    return sorted(lines, key=lambda a: (a.best_rank + a.worst_rank, a.mean_rank, a.initialiser))
