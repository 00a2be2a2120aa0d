"""A board: everything that the page says about one model and data set, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from initbench import formatting
from initbench.leaderboard import plots, wording
from initbench.leaderboard.box_plot import box_plot
from initbench.leaderboard.histogram_plot import histogram_plot
from initbench.leaderboard.last_layer_plot import last_layer_plot
from initbench.leaderboard.layer_plot import layer_plot
from initbench.leaderboard.panels import local, some_of
from initbench.leaderboard.parts import Between, Board, Cell, Line, Name, Origin, Source, Table
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
    best_first,
)

_TREATMENTS = ("generated", "rule", "fallback", "untouched")


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
            wording.to_the_end([band for band in self.results.losses if self._is_here(band)]),
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
            convergence=wording.embedded(curves),
            quantity=bands[0].quantity.capitalize() if bands else "",
            losses=wording.embedded(losses),
            last_layer=wording.embedded(last_layer),
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
        row_note = wording.common([row.note for row in rows])
        comparison_note = wording.common([comparison.note for comparison in compared.values()])
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
                    rank=wording.rank(ranks.get(row.initialiser)),
                    mean=Cell.number(formatting.value(row.mean, row.unit), row.mean),
                    interval=wording.spread(row),
                    trials=wording.trials(row),
                    failed=Cell(str(row.failed), row.failed),
                    note="" if row_note else row.note,
                    compared=wording.compared(found, row.unit, comparison_note) if found else None,
                )
                for row in rows
                for found in [compared.get(row.initialiser)]
            ],
            notes=[note for note in (row_note, comparison_note) if note],
            tally=wording.tally(list(verdicts.values())),
            forest=wording.embedded(forest),
            boxes=wording.embedded(
                box_plot(
                    rows,
                    self.results.reference,
                    title=f"{first.measure}: all values",
                    prefix=f"{self.id}-boxes-{index}",
                )
            ),
            of_parts=any(row.parts for row in rows),
            survival=wording.embedded(
                survival_plot(
                    planned,
                    self.results.reference,
                    ps=log_rank,
                    title=f"{first.measure}: share of trials that reached it",
                    prefix=f"{self.id}-survival-{index}",
                )
            ),
            on_survival=wording.on_survival(log_rank, self.results.reference),
            layers=wording.embedded(
                layer_plot(
                    bands,
                    self.results.reference,
                    title=f"{first.measure} by layer",
                    prefix=f"{self.id}-layers-{index}",
                )
            ),
            on_layers=list(dict.fromkeys(f"{b.initialiser}: {n}" for b in bands for n in b.notes)),
            histograms=wording.embedded(
                histogram_plot(
                    histograms,
                    self.results.reference,
                    title=f"{first.measure}: histograms",
                    prefix=f"{self.id}-histograms-{index}",
                )
            ),
            on_histograms=wording.on_histograms(histograms),
            training=wording.embedded(
                training_plot(
                    followed,
                    title=f"{first.measure} over training",
                    prefix=f"{self.id}-training-{index}",
                )
            ),
            on_training=some_of([cell.layers for cell in followed]),
            between=[
                Between(c.initialiser, c.reference, wording.compared(c, first.unit, ""))
                for c in between
            ],
            sensitivity=[(c.initialiser, wording.other_tests(c)) for c in compared.values()],
        )

    def _origin(self, name: Name) -> Origin:
        shares = self._entry(self.results.coverage, name.label)
        parts = [(t, float(shares[t])) for t in _TREATMENTS if shares.get(t)]
        cost = self._entry(self.results.cost, name.label)
        spoken = ", ".join(f"{formatting.share(x)} {treatment}" for treatment, x in parts)
        return Origin(
            name=name,
            bar=wording.embedded(plots.coverage_bar(parts)) if parts else None,
            generated=Cell.number("", shares.get("generated")),
            coverage=spoken or formatting.UNDEFINED,
            trial_seconds=wording.duration(cost.get("wall_seconds")),
            alone=bool(cost.get("exclusive")),
            initialise_seconds=wording.duration(cost.get("initialise_seconds")),
            energy=wording.energy(cost.get("energy_joules")),
            fit_seconds=wording.duration(cost.get("fit_seconds")),
            zoo_seconds=wording.duration(cost.get("zoo_seconds")),
            break_even=wording.count(cost.get("break_even")),
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
