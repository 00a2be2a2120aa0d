"""Counterparts: what a suite has for something published, or why it has nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from initbench.measures.measure import Measure
from initbench.published.links import Links, label
from initbench.published.table import ANY, PublishedTable, Scalar
from initbench.reporting.cells import Cell
from initbench.results import Row
from initbench.store.manifest import PublishedNote, SuiteManifest

MEAN_CURVE = ".mean_curve"


@dataclass(frozen=True)
class Found:
    """What is there of a measure: the trials of a cell, and what they amount to."""

    measure: Measure[Any]
    cell: Cell
    row: Row


@dataclass(frozen=True)
class Counterpart:
    """What the suite calls something published, and what it has of it."""

    label: str
    model: str
    dataset: str
    measure: str  # empty where the suite has none
    found: Found | None
    reason: str  # why nothing is found


@dataclass(frozen=True)
class Counterparts:
    """A suite, asked about what is published."""

    manifest: SuiteManifest
    measures: Sequence[Measure[Any]]
    cells: Sequence[Cell]
    rows: Sequence[Row]
    table: PublishedTable

    @cached_property
    def links(self) -> Links:
        return Links(self.manifest.published, self.manifest.measures, self.table)

    @cached_property
    def _by_label(self) -> dict[str, Measure[Any]]:
        notes = self.manifest.measures
        return {note.label: m for note, m in zip(notes, self.measures, strict=True)}

    @cached_property
    def _cells(self) -> dict[tuple[str, str, str], Cell]:
        return {(c.initialiser, c.model, c.dataset): c for c in self.cells}

    @cached_property
    def _rows(self) -> dict[tuple[str, str, str, str], Row]:
        return {(r.initialiser, r.model, r.dataset, r.measure): r for r in self.rows}

    def find(
        self,
        link: PublishedNote,
        initialiser: str,
        model: str,
        dataset: str,
        metric: str,
        settings: Mapping[str, Scalar],
    ) -> Counterpart:
        """Return what the suite has for a published name, model, data set and metric."""
        named = (
            label(link.initialisers, initialiser),
            label(link.models, model),
            label(link.datasets, dataset),
        )
        reason = self._missing(*named)
        measure = self.links.measure(link, metric, settings)
        if isinstance(measure, str):
            return Counterpart(*named, "", None, reason or measure)
        mean_curve = self.table.metrics[metric].of == "mean_curve"
        row = self._rows.get((*named, measure.label + (MEAN_CURVE if mean_curve else "")))
        cell = self._cells.get(named)
        if not reason and not measure.taken_on(named[2]):
            reason = f"`{measure.label}` is not taken there"
        if not reason and (row is None or row.n == 0):
            reason = f"`{named[0]}` has not run yet"
        if reason or row is None or cell is None:
            return Counterpart(*named, measure.label, None, reason)
        found = Found(self._by_label[measure.label], cell, row)
        return Counterpart(*named, measure.label, found, "")

    def _missing(self, name: str, model: str, dataset: str) -> str:
        """Say what of a published value this run does not have; empty where it has all of it."""
        if name in self.manifest.not_installed:
            return f"`{name}` is left out: {self.manifest.not_installed[name]}"
        trials = self.manifest.trials
        for what, wanted, there in (
            ("the model ", model, {trial.model for trial in trials}),
            ("the data set ", dataset, {trial.dataset for trial in trials}),
            ("", name, {trial.initialiser for trial in trials}),
        ):
            if wanted not in there and wanted != ANY:
                return f"{what}`{wanted}` is not in this run"
        return "it is not about one initialiser" if name == ANY else ""

    def conditions_of_run(self, datasets: Sequence[str], labels: Sequence[str]) -> list[str]:
        """Return what is otherwise than in a paper for all numbers of a run on these data sets."""
        manifest = self.manifest
        conditions = []
        if manifest.reduced:
            conditions.append(
                f"reduced: profile `{manifest.profile}`" if manifest.profile else "reduced"
            )
        for data in manifest.datasets:
            if data.label in datasets:
                conditions += [f"{data.label}: {mark}" for mark in data.marks]
                conditions += _fidelity(data.label, data.config)
        for initialiser in manifest.initialisers:
            if initialiser.label in labels:
                conditions += _fidelity(initialiser.label, initialiser.config)
        return conditions


def _fidelity(name: str, config: Mapping[str, Any]) -> list[str]:
    return [f"{name}: fidelity {config['fidelity']}"] if "fidelity" in config else []
