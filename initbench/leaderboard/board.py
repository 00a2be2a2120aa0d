"""A board: everything that the page says about one model and data set, as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element

from markupsafe import Markup

from initbench import formatting
from initbench.leaderboard import plots, svg
from initbench.leaderboard.box_plot import box_plot
from initbench.leaderboard.histogram_plot import histogram_plot
from initbench.leaderboard.last_layer_plot import last_layer_plot
from initbench.leaderboard.layer_plot import layer_plot
from initbench.leaderboard.panels import local, some_of
from initbench.leaderboard.ranks import rank_intervals
from initbench.leaderboard.survival_plot import survival_plot
from initbench.leaderboard.training_plot import training_plot
from initbench.results import (
    Comparison,
    CurveBand,
    LastLayer,
    LayerBand,
    LayerHistograms,
    LayersOverTraining,
    Row,
    SuiteResults,
    Verdict,
    best_first,
)
from initbench.statistics.ranks import RankInterval

TREATMENTS = ("generated", "rule", "fallback", "untouched")
VERDICTS: tuple[Verdict, ...] = ("better", "worse", "equivalent", "undecided")


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, and the number by which its column is sorted."""

    text: str
    sort: float | str | None = None  # None: at the end, whichever way the column is sorted

    @classmethod
    def number(cls, text: str, x: float | None) -> Cell:
        """Return a cell that is sorted by `x`, written as JavaScript reads it."""
        if x is None or math.isnan(x):
            return cls(text)
        return cls(text, ("Infinity" if x > 0 else "-Infinity") if math.isinf(x) else x)


@dataclass(frozen=True)
class Source:
    """An entry of the list of sources, shared by all variants of one initialiser."""

    number: int
    text: str
    url: str | None  # https only
    plugin: str
    labels: list[str]


@dataclass(frozen=True)
class Name:
    """An initialiser as it is shown at the beginning of a line."""

    label: str
    scope: str
    source: Source | None
    is_reference: bool


@dataclass(frozen=True)
class Compared:
    """A comparison with the reference, as a part of a line."""

    difference: Cell
    interval: str
    p: Cell
    effect: Cell
    verdict: Verdict
    mark: formatting.Mark
    more_seeds: str
    note: str


@dataclass(frozen=True)
class Line:
    """An initialiser in the table of one measure."""

    name: Name
    rank: Cell
    mean: Cell
    interval: str  # the median where the mean is not defined, nothing where neither is
    trials: Cell
    failed: Cell
    note: str
    compared: Compared | None


@dataclass(frozen=True)
class Between:
    """A comparison of two initialisers neither of which is the reference."""

    first: str
    second: str
    compared: Compared


@dataclass(frozen=True)
class Table:
    """All initialisers through one measure, the best first."""

    measure: int
    label: str
    unit: str
    unit_of_differences: str
    direction: str
    margin: str
    lines: list[Line]
    notes: list[str]  # what is to be said of every line alike
    tally: list[tuple[formatting.Mark, Verdict, int]]
    forest: Markup | None
    boxes: Markup | None
    of_parts: bool  # whether boxes are of ensembles or pairs, not of trials
    survival: Markup | None
    on_survival: str  # what is to be said of the plot of survival
    layers: Markup | None
    on_layers: list[str]  # what is to be said of the plot of layers
    histograms: Markup | None
    on_histograms: str  # what is to be said of them
    training: Markup | None  # layers over training
    on_training: str
    between: list[Between]
    sensitivity: list[tuple[str, list[tuple[str, str]]]]


@dataclass(frozen=True)
class Origin:
    """What one initialiser did to the model, and what that cost."""

    name: Name
    bar: Markup | None
    generated: Cell
    coverage: str
    trial_seconds: Cell
    alone: bool  # nothing else ran on the device, so that times may be compared
    initialise_seconds: Cell
    energy: Cell  # of one trial
    fit_seconds: Cell
    zoo_seconds: Cell
    break_even: Cell


@dataclass(frozen=True)
class Board:
    """Everything about one model and data set."""

    id: str
    model: str
    dataset: str
    marks: list[str]  # of the data set, such as `unofficial data`
    tables: list[Table]
    convergence: Markup | None
    quantity: str  # of its curves
    losses: Markup | None
    last_layer: Markup | None
    on_last_layer: str  # its name, and what is to be said of it
    origins: list[Origin]
    incomplete: list[tuple[str, str]]  # initialiser and reason

    @property
    def has_energy(self) -> bool:
        """Whether the energy of any trial on this board is known."""
        return any(origin.energy.sort is not None for origin in self.origins)

    @property
    def all_shared(self) -> bool:
        """Whether no time on this board may be compared."""
        return not any(origin.alone for origin in self.origins)


def boards_of(results: SuiteResults, sources: Sequence[Source], identifier: str) -> list[Board]:
    """Return a board for each model and data set; `identifier` begins their anchors."""
    cells = dict.fromkeys((row.model, row.dataset) for row in results.rows)
    return [
        _Arrangement(results, sources, model, dataset, f"{identifier}_{number}").board()
        for number, (model, dataset) in enumerate(cells, start=1)
    ]


def margin_of(results: SuiteResults, measure: str, unit: str) -> str:
    """Write the margin of a measure with its unit; empty where the suite sets none."""
    if measure not in results.margins:
        return ""
    margin = formatting.value(results.margins[measure], unit)
    return f"{margin} {formatting.unit_of_differences(unit)}".rstrip()


@dataclass(frozen=True)
class _Arrangement:
    """The results of a suite on one model and data set, about to be laid out."""

    results: SuiteResults
    sources: Sequence[Source]
    model: str
    dataset: str
    id: str

    def board(self) -> Board:
        measures = dict.fromkeys(row.measure for row in self.results.rows)
        rows = [
            [row for row in self.results.rows if row.measure == measure and self._is_here(row)]
            for measure in measures
        ]
        tables = [self._table(i, found) for i, found in enumerate(rows) if found]
        # In the order of the suite, not of ranks: a name keeps its colour from plot to plot.
        bands = [band for band in self.results.curves if self._is_here(band)]
        curves = plots.convergence(
            bands,
            self.results.reference,
            title=f"Training: {self.model} on {self.dataset}",
            prefix=f"{self.id}-curves",
        )
        losses = plots.convergence(
            _to_the_end([band for band in self.results.losses if self._is_here(band)]),
            self.results.reference,
            title=f"Validation loss: {self.model} on {self.dataset}",
            prefix=f"{self.id}-losses",
        )
        last_layers = [cell for cell in self.results.last_layers if self._is_here(cell)]
        last_layer = last_layer_plot(
            last_layers,
            self.results.reference,
            title=f"The last layer over training: {self.model} on {self.dataset}",
            prefix=f"{self.id}-last-layer",
        )
        return Board(
            id=self.id,
            model=self.model,
            dataset=self.dataset,
            marks=self.results.marks(self.dataset),
            tables=tables,
            convergence=_embedded(curves),
            quantity=bands[0].quantity.capitalize() if bands else "",
            losses=_embedded(losses),
            last_layer=_embedded(last_layer),
            on_last_layer=", ".join(dict.fromkeys(local(cell.layer) for cell in last_layers)),
            origins=[self._origin(line.name) for line in tables[0].lines],
            incomplete=self._incomplete(),
        )

    def _is_here(
        self,
        item: Row
        | Comparison
        | CurveBand
        | LayerBand
        | LayerHistograms
        | LayersOverTraining
        | LastLayer,
    ) -> bool:
        return (item.model, item.dataset) == (self.model, self.dataset)

    def _name(self, label: str) -> Name:
        return Name(
            label=label,
            scope=self.results.citations.get(label, {}).get("scope") or "",
            source=next((source for source in self.sources if label in source.labels), None),
            is_reference=label == self.results.reference,
        )

    def _table(self, index: int, rows: Sequence[Row]) -> Table:
        first = rows[0]
        compared = {
            c.initialiser: c
            for c in self.results.comparisons
            if c.measure == first.measure and self._is_here(c)
        }
        planned = rows  # in the order of the suite, by which names have their colours
        rows = sorted(rows, key=lambda row: best_first(row, self.results.reference, compared))
        log_rank = {
            label: p
            for label, c in compared.items()
            if (p := c.sensitivity.get("log_rank_p")) is not None
        }
        verdicts = {label: comparison.verdict for label, comparison in compared.items()}
        between = [
            c
            for c in self.results.between_others
            if c.measure == first.measure and self._is_here(c)
        ]
        ranks = rank_intervals(
            rows,
            {(c.initialiser, c.reference): c.verdict for c in [*compared.values(), *between]},
        )
        row_note = _common([row.note for row in rows])
        comparison_note = _common([comparison.note for comparison in compared.values()])
        forest = plots.forest(
            [compared[row.initialiser] for row in rows if row.initialiser in compared],
            unit=first.unit,
            direction=first.direction,
            margin=self.results.margins.get(first.measure),
            title=f"{first.measure}: differences to {self.results.reference}",
            prefix=f"{self.id}-differences-{index}",
        )
        bands = [b for b in self.results.layers if b.measure == first.measure and self._is_here(b)]
        histograms = [
            h for h in self.results.histograms if h.measure == first.measure and self._is_here(h)
        ]
        followed = [
            x
            for x in self.results.layers_over_training
            if x.measure == first.measure and self._is_here(x)
        ]
        return Table(
            measure=index,
            label=first.measure,
            unit=formatting.unit_of_values(first.unit),
            unit_of_differences=formatting.unit_of_differences(first.unit),
            direction=first.direction,
            margin=margin_of(self.results, first.measure, first.unit),
            lines=[
                Line(
                    name=self._name(row.initialiser),
                    rank=_rank(ranks.get(row.initialiser)),
                    mean=Cell.number(formatting.value(row.mean, row.unit), row.mean),
                    interval=_spread(row),
                    trials=_trials(row),
                    failed=Cell(str(row.failed), row.failed),
                    note="" if row_note else row.note,
                    compared=_compared(found, row.unit, comparison_note) if found else None,
                )
                for row in rows
                for found in [compared.get(row.initialiser)]
            ],
            notes=[note for note in (row_note, comparison_note) if note],
            tally=_tally(list(verdicts.values())),
            forest=_embedded(forest),
            boxes=_embedded(
                box_plot(
                    rows,
                    self.results.reference,
                    title=f"{first.measure}: all values",
                    prefix=f"{self.id}-boxes-{index}",
                )
            ),
            of_parts=any(row.parts for row in rows),
            survival=_embedded(
                survival_plot(
                    planned,
                    self.results.reference,
                    ps=log_rank,
                    title=f"{first.measure}: share of trials that reached it",
                    prefix=f"{self.id}-survival-{index}",
                )
            ),
            on_survival=_on_survival(log_rank, self.results.reference),
            layers=_embedded(
                layer_plot(
                    bands,
                    self.results.reference,
                    title=f"{first.measure} by layer",
                    prefix=f"{self.id}-layers-{index}",
                )
            ),
            on_layers=list(dict.fromkeys(f"{b.initialiser}: {n}" for b in bands for n in b.notes)),
            histograms=_embedded(
                histogram_plot(
                    histograms,
                    self.results.reference,
                    title=f"{first.measure}: histograms",
                    prefix=f"{self.id}-histograms-{index}",
                )
            ),
            on_histograms=_on_histograms(histograms),
            training=_embedded(
                training_plot(
                    followed,
                    title=f"{first.measure} over training",
                    prefix=f"{self.id}-training-{index}",
                )
            ),
            on_training=some_of([cell.layers for cell in followed]),
            between=[
                Between(c.initialiser, c.reference, _compared(c, first.unit, "")) for c in between
            ],
            sensitivity=[(c.initialiser, _other_tests(c)) for c in compared.values()],
        )

    def _origin(self, name: Name) -> Origin:
        shares = self._entry(self.results.coverage, name.label)
        parts = [(t, float(shares[t])) for t in TREATMENTS if shares.get(t)]
        cost = self._entry(self.results.cost, name.label)
        spoken = ", ".join(f"{formatting.share(x)} {treatment}" for treatment, x in parts)
        return Origin(
            name=name,
            bar=_embedded(plots.coverage_bar(parts)) if parts else None,
            generated=Cell.number("", shares.get("generated")),
            coverage=spoken or formatting.UNDEFINED,
            trial_seconds=_duration(cost.get("wall_seconds")),
            alone=bool(cost.get("exclusive")),
            initialise_seconds=_duration(cost.get("initialise_seconds")),
            energy=_energy(cost.get("energy_joules")),
            fit_seconds=_duration(cost.get("fit_seconds")),
            zoo_seconds=_duration(cost.get("zoo_seconds")),
            break_even=_count(cost.get("break_even")),
        )

    def _entry(self, entries: Sequence[Mapping[str, Any]], label: str) -> Mapping[str, Any]:
        here = {"initialiser": label, "model": self.model, "dataset": self.dataset}
        return next((e for e in entries if all(e.get(k) == v for k, v in here.items())), {})

    def _incomplete(self) -> list[tuple[str, str]]:
        """Return the initialisers that lack trials here, each with the reason."""
        rows = {row.initialiser: row for row in reversed(self.results.rows) if self._is_here(row)}
        reasons = []
        for label in dict.fromkeys([*self.results.citations, *rows]):
            row = rows.get(label)  # of the first measure
            if row is None:
                reasons.append((label, "not planned for this model and data set"))
            elif row.missing:
                reason = f"{row.missing} of {row.n + row.missing} trials have no outcome"
                reasons.append((label, f"{reason} ({row.note})" if row.note else reason))
        return reasons


def _other_tests(comparison: Comparison) -> list[tuple[str, str]]:
    tests = dict(comparison.sensitivity)
    on_images = formatting.over_test_images(tests.pop("test_images", None))
    return flat(tests) + ([("finite test set", on_images)] if on_images else [])


def flat(tree: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Write a tree of numbers as names and values; what is not defined is left out.

    >>> flat({"welch_p": 0.0312, "without_failures": {"n": 9, "p": None}})
    [('welch p', '0.0312'), ('without failures: n', '9')]
    """
    lines: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{path}{name}: ")
        elif value is not None:
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            lines.append((f"{path}{name}".replace("_", " "), shown))
    return lines


def _rank(rank: RankInterval | None) -> Cell:
    if rank is None:
        return Cell(formatting.UNDEFINED)
    return Cell(str(rank), rank.best + rank.worst / 1e6)


def _spread(row: Row) -> str:
    if row.mean is None and row.median is not None:
        return f"median {formatting.value(row.median, row.unit)}"
    return _interval(row.low, row.high, row.unit)


def _interval(low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """Write an interval; nothing where it is not defined, since a dash or a note says so."""
    if low is None or high is None:
        return ""
    return formatting.interval(low, high, unit, signed=signed)


def _trials(row: Row) -> Cell:
    return Cell(f"{row.n} of {row.n + row.missing}" if row.missing else str(row.n), row.n)


def _common(notes: Sequence[str]) -> str:
    """Return the note that several lines share, to be said once instead of in each."""
    return notes[0] if len(notes) > 1 and len(set(notes)) == 1 else ""


def _compared(c: Comparison, unit: str, common_note: str) -> Compared:
    return Compared(
        difference=Cell.number(formatting.difference(c.difference, unit), c.difference),
        interval=_interval(c.low, c.high, unit, signed=True),
        p=Cell.number(formatting.p_value(c.p_corrected), c.p_corrected),
        effect=Cell.number(formatting.effect(c.effect), c.effect),
        verdict=c.verdict,
        mark=formatting.verdict_mark(c.verdict),
        more_seeds=formatting.more_seeds(c.more_seeds),
        note="" if common_note else c.note,
    )


def _tally(verdicts: Sequence[Verdict]) -> list[tuple[formatting.Mark, Verdict, int]]:
    return [
        (formatting.verdict_mark(verdict), verdict, verdicts.count(verdict))
        for verdict in VERDICTS
        if verdict in verdicts
    ]


def _on_survival(ps: Mapping[str, float], reference: str) -> str:
    if not ps:
        return ""
    shown = ", ".join(f"{label} {formatting.p_value(p)}" for label, p in ps.items())
    return f"log-rank test against {reference}, p not corrected: {shown}"


def _to_the_end(bands: Sequence[CurveBand]) -> list[CurveBand]:
    """Return losses as they are drawn: empty where a trial diverged, whose losses are huge."""
    last = max((band.steps[-1] for band in bands), default=0)
    return [
        band
        if band.steps[-1] == last and math.isfinite(band.mean[-1])
        else replace(band, mean=[math.nan] * len(band.mean))
        for band in bands
    ]


def _on_histograms(cells: Sequence[LayerHistograms]) -> str:
    """Say what histograms are of, such as `activations before training, 8 of 20 layers`."""
    if not cells:
        return ""
    when = {
        "initial": "before training",
        "best": "at the best checkpoint",
        "last": "after training",
    }
    some = some_of([cell.layers for cell in cells])
    return ", ".join(filter(None, [f"{cells[0].quantity} {when[cells[0].checkpoint]}", some]))


def _duration(seconds: float | None) -> Cell:
    return Cell.number(formatting.seconds(seconds), seconds)


def _energy(joules: float | None) -> Cell:
    return Cell.number(formatting.energy(joules), joules)


def _count(count: int | None) -> Cell:
    return Cell.number(formatting.value(count, "steps"), count)


def _embedded(element: Element | None) -> Markup | None:
    """Return a plot as markup: ElementTree has escaped whatever text is in it."""
    return None if element is None else Markup(svg.markup(element))
