"""The summary: a suite's manifest and records become its results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from initbench.measures.measure import Measure
from initbench.reporting.aggregates import aggregates
from initbench.reporting.cells import Cell, cells_of
from initbench.reporting.comparisons import comparisons
from initbench.reporting.curves import band, losses
from initbench.reporting.histograms import layer_histograms
from initbench.reporting.layers import layer_band
from initbench.reporting.ledger import Ledger, coverage
from initbench.reporting.observed import Observed
from initbench.reporting.published import beside_published
from initbench.reporting.rows import population_row, row
from initbench.reporting.watched import last_layer, layers_over_training
from initbench.results import (
    Aggregates,
    Comparison,
    DatasetFacts,
    LayerBand,
    LayerHistograms,
    LayersOverTraining,
    Row,
    SuiteResults,
)
from initbench.store.artifact import StoredArtifact
from initbench.store.manifest import SuiteManifest
from initbench.store.record import Record, TrialStatus

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store

T = TypeVar("T")


def results_of(store: Store, manifest: SuiteManifest, registry: Registry) -> SuiteResults:
    """Return the results of a suite from what the store holds of it."""
    measures = [registry.measure(m.name, m.config).thing for m in manifest.measures]
    trials = [entry.key for entry in manifest.trials]
    zoos = [key for zoo in manifest.zoos.values() for key in zoo]
    fitted = {entry.artifact for entry in manifest.trials if entry.artifact is not None}
    found = {key: store.artifact(key) for key in sorted(fitted)}
    artifacts = {key: artifact for key, artifact in found.items() if artifact is not None}
    records = store.records({*trials, *zoos})
    return summarise(manifest, records, measures, artifacts, Observed.of(store, manifest))


def summarise(
    manifest: SuiteManifest,
    records: Mapping[str, Record],
    measures: Sequence[Measure[Any]],
    artifacts: Mapping[str, StoredArtifact],
    observed: Observed | None = None,
) -> SuiteResults:
    """Return rows, comparisons, curves, coverage and cost of a suite.

    Args:
        manifest: the suite as it was run.
        records: by key, those of its trials and of the zoo trials behind them.
        measures: those of the manifest, in its order.
        artifacts: by key, the fitted states of its initialisers.
        observed: what probes saw of its trials.
    """
    observed = observed or Observed()
    ledger = Ledger(manifest, records, artifacts)
    cells = [
        replace(cell, before=ledger.before(cell)) for cell in cells_of(manifest, records, observed)
    ]
    rows: list[Row] = []
    compared: list[Comparison] = []
    across: list[Aggregates | None] = []
    bands: list[LayerBand | None] = []
    histograms: list[LayerHistograms | None] = []
    over_training: list[LayersOverTraining | None] = []
    for measure, choice in zip(measures, manifest.measures, strict=True):
        seen = [cell for cell in cells if choice.taken_on(cell.dataset)]
        rows += [row(measure, choice.label, cell, manifest.confidence) for cell in seen]
        populations = [population_row(measure, choice.label, cell) for cell in seen]
        rows += [found for found in populations if found is not None]
        compared += comparisons(manifest, seen, measure, choice.label)
        bands += [layer_band(measure, choice.label, cell) for cell in seen]
        histograms += [layer_histograms(measure, choice.label, cell) for cell in seen]
        over_training += [layers_over_training(measure, choice.label, cell) for cell in seen]
        across += [aggregates(manifest, seen, measure, choice.label)]
    references = {(c.model, c.dataset): c for c in cells if c.initialiser == manifest.reference}
    with_reference = [c for c in compared if c.reference == manifest.reference]
    environment = _environment(cells)
    beside, claims = beside_published(manifest, measures, cells, rows)
    return SuiteResults(
        suite=manifest.name,
        profile=manifest.profile,
        reduced=manifest.reduced,
        title=manifest.title,
        question=manifest.question,
        citation=manifest.citation,
        reference=manifest.reference,
        test=manifest.test,
        correction=manifest.correction,
        confidence=manifest.confidence,
        command=manifest.command,
        rows=rows,
        comparisons=with_reference,
        curves=_present(map(band, cells)),
        coverage=[c for c in map(coverage, cells) if c is not None],
        cost=[
            ledger.cost(cell, references.get((cell.model, cell.dataset)), rows) for cell in cells
        ],
        failures=_failures(manifest, records),
        citations=_citations(manifest),
        datasets=_datasets(manifest),
        trials={
            entry.key: records[entry.key].status.value if entry.key in records else "missing"
            for entry in manifest.trials
        },
        environment=environment,
        notes=[*_notes(manifest, records, cells, environment), *_on_probes(observed)],
        margins=dict(manifest.margins),
        layers=_present(bands),
        histograms=_present(histograms),
        layers_over_training=_present(over_training),
        last_layers=_present(map(last_layer, cells)),
        losses=_present(map(losses, cells)),
        beside=beside,
        claims=claims,
        aggregates=_present(across),
        family=manifest.family,
        between_others=[c for c in compared if c.reference != manifest.reference],
    )


def _present(found: Iterable[T | None]) -> list[T]:
    return [x for x in found if x is not None]


def _failures(manifest: SuiteManifest, records: Mapping[str, Record]) -> list[dict[str, Any]]:
    ended = [(entry, records[entry.key]) for entry in manifest.trials if entry.key in records]
    return [
        {
            "trial": entry.key,
            "initialiser": entry.initialiser,
            "model": entry.model,
            "dataset": entry.dataset,
            "seed": entry.seed,
            "status": record.status.value,
            "message": record.failure.message if record.failure else "",
        }
        for entry, record in ended
        if record.status is not TrialStatus.DONE
    ]


def _citations(manifest: SuiteManifest) -> dict[str, dict[str, str | None]]:
    return {
        note.label: {
            "text": note.citation,
            "url": note.url,
            "scope": note.scope,
            "plugin": note.distribution,
            "version": note.distribution_version,
        }
        for note in manifest.initialisers
    }


def _datasets(manifest: SuiteManifest) -> dict[str, DatasetFacts]:
    return {
        note.label: DatasetFacts(
            summary=note.summary,
            citation=note.citation,
            url=note.url,
            licence=note.licence,
            fingerprint=note.fingerprint,
            images=note.images,
            marks=note.marks,
        )
        for note in manifest.datasets
    }


def _environment(cells: Sequence[Cell]) -> dict[str, dict[str, int]]:
    """Count, for each thing that records say of their environment, the values seen."""
    seen: dict[str, Counter[str]] = {}
    for cell in cells:
        for record in cell.records.values():
            for name, value in _flat(record.environment):
                seen.setdefault(name, Counter())[str(value)] += 1
    return {name: dict(counts.most_common()) for name, counts in sorted(seen.items())}


def _flat(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value is not None:
            yield name, value


def _notes(
    manifest: SuiteManifest,
    records: Mapping[str, Record],
    cells: Sequence[Cell],
    environment: Mapping[str, Mapping[str, int]],
) -> Iterator[str]:
    """Say what a reader must know before believing a number."""
    if manifest.reduced:
        profile = f" `{manifest.profile}`" if manifest.profile else ""
        yield f"reduced: profile{profile} is smaller than the experiment that the suite describes"
    for label, how in manifest.not_installed.items():
        yield f"`{label}` is not in this run: {how}"
    for cited in manifest.initialisers:
        if cited.own_recipe:
            changes = json.dumps(cited.own_recipe, ensure_ascii=False)
            yield f"`{cited.label}` is trained by a recipe of its own: {changes}"
    for note in manifest.datasets:
        yield from (f"{note.label}: {remark}" for remark in note.remarks)
    missing, lost = sum(c.missing for c in cells), sum(c.lost for c in cells)
    if missing:
        yield (
            f"{missing} of {len(manifest.trials)} trials have no outcome"
            + (f", {lost} of them were lost" if lost else "")
            + f"; `{manifest.command}` runs them"
        )
    if all(cell.initialiser != manifest.reference for cell in cells):
        reference = f"the reference `{manifest.reference}`"
        yield f"{reference} is not in this run: nothing is compared with it"
    for name in ("initbench", "torch", "device"):
        if len(environment.get(name, ())) > 1:
            versions = ", ".join(f"{version} ({n})" for version, n in environment[name].items())
            yield f"trials differ in {name}: {versions}"
    yield from _on_zoos(manifest, records)
    remarks = Counter(
        (cell.initialiser, remark)
        for cell in cells
        for record in cell.records.values()
        for remark in record.notes
    )
    for (initialiser, remark), count in remarks.items():
        yield f"{initialiser}: {remark} ({count} trial{'s' if count > 1 else ''})"


def _on_probes(observed: Observed) -> Iterator[str]:
    for message, places in observed.failures().items():
        yield f"no value for {'; '.join(places)}: {message}"


def _on_zoos(manifest: SuiteManifest, records: Mapping[str, Record]) -> Iterator[str]:
    behind: dict[str, set[str]] = {}
    for entry in manifest.trials:
        if entry.artifact is not None:
            keys = manifest.zoos.get(entry.artifact, [])
            behind.setdefault(entry.initialiser, set()).update(keys)
    for initialiser, zoo in behind.items():
        ended = [records[key].status for key in zoo if key in records]
        failed = sum(status is not TrialStatus.DONE for status in ended)
        if failed:
            yield f"{initialiser}: {failed} of {len(zoo)} zoo trials did not train to the end"
