"""Published values and claims beside the results of a suite (rules 101 to 112)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from initbench.measures.measure import Measure, RecordMeasure
from initbench.published.table import Figure, PublishedTable, Result, every, published_table
from initbench.reporting.cells import Cell
from initbench.reporting.claims import checked_claims
from initbench.reporting.counterparts import MEAN_CURVE, Counterpart, Counterparts, Found
from initbench.results import Beside, ClaimCheck, Row
from initbench.statistics.interval import Interval
from initbench.statistics.prediction import bootstrap_prediction, prediction_interval
from initbench.store.manifest import PublishedNote, SuiteManifest
from initbench.store.record import Record


def beside_published(
    manifest: SuiteManifest,
    measures: Sequence[Measure[Any]],
    cells: Sequence[Cell],
    rows: Sequence[Row],
    table: PublishedTable | None = None,
) -> tuple[list[Beside], list[ClaimCheck]]:
    """Lay the rows of a suite beside what it repeats, and check the claims that are made of that.

    Args:
        manifest: the suite as it was run; without `published` there is nothing to do.
        measures: those of the manifest, in its order.
        cells: the trials of the suite.
        rows: what they amount to.
        table: what is published; by default what comes with initbench.
    """
    if not manifest.published:
        return [], []
    suite = Counterparts(manifest, measures, cells, rows, table or published_table())
    return list(_values(suite)), list(checked_claims(suite))


def _values(suite: Counterparts) -> Iterator[Beside]:
    """Yield every published value that the suite repeats, experiment by experiment."""
    for experiment in suite.links.experiments:
        for result in suite.table.results:
            if result.experiment == experiment:
                yield from _printed(suite, result)
        for figure in suite.table.figures:
            if figure.experiment == experiment:
                yield from _drawn(suite, figure)


def _printed(suite: Counterparts, result: Result) -> Iterator[Beside]:
    link = suite.links.to(result.experiment, {**result.model_dump(), **result.settings})
    if link is None:
        return
    unit = suite.table.unit(result.metric, result.unit)
    ours = suite.find(
        link, result.initialiser, result.model, result.dataset, result.metric, result.settings
    )
    published = Beside(
        experiment=result.experiment,
        source=result.source,
        metric=result.metric,
        settings=dict(result.settings),
        initialiser=result.initialiser,
        model=result.model,
        dataset=result.dataset,
        unit=unit.unit,
        published=result.mean * unit.factor,
        published_std=None if result.std is None else result.std * unit.factor,
        published_n=result.n,
        bound=suite.table.metrics[result.metric].bound,
        note=result.note,
    )
    yield _with_ours(suite, published, ours, link)


def _drawn(suite: Counterparts, figure: Figure) -> Iterator[Beside]:
    for model, dataset, settings, name in product(
        figure.models, figure.datasets, every(figure.settings), figure.initialisers
    ):
        point = {"initialiser": name, "model": model, "dataset": dataset, "metric": figure.metric}
        link = suite.links.to(figure.experiment, {**point, "source": figure.source, **settings})
        if link is None:
            continue
        ours = suite.find(link, name, model, dataset, figure.metric, settings)
        published = Beside(
            experiment=figure.experiment,
            source=figure.source,
            metric=figure.metric,
            settings=dict(settings),
            initialiser=name,
            model=model,
            dataset=dataset,
            unit=ours.found.row.unit if ours.found else "",
            published=None,
            shown_as=figure.shown_as,
        )
        yield _with_ours(suite, published, ours, link)


def _with_ours(
    suite: Counterparts, published: Beside, ours: Counterpart, link: PublishedNote
) -> Beside:
    """Add our value, the difference and the prediction to a published value."""
    beside = replace(
        published,
        label=ours.label,
        our_model=ours.model,
        our_dataset=ours.dataset,
        measure=ours.measure,
        reason=ours.reason,
        conditions=_conditions(suite, published, ours, link),
    )
    if ours.found is None:
        return beside
    row = ours.found.row
    if row.unit != beside.unit:
        units = f"published in {beside.unit or 'no unit'}, measured in {row.unit or 'no unit'}"
        return replace(beside, reason=f"{units}: the two cannot be compared")
    beside = replace(beside, n=row.n, mean=row.mean, low=row.low, high=row.high)
    if row.mean is None:
        return replace(beside, reason=row.note or "there is no mean")
    if published.published is None or published.bound is not None:
        return beside
    difference = row.mean - published.published
    predicted = _prediction(ours.found, beside.published_n, suite.manifest.confidence)
    if predicted is None:
        return replace(beside, difference=difference, reason=_no_prediction(row))
    return replace(
        beside,
        difference=difference,
        predicted_low=predicted.low,
        predicted_high=predicted.high,
        inside=predicted.low <= published.published <= predicted.high,
    )


def _prediction(found: Found, runs: int | None, confidence: float) -> Interval | None:
    if not found.row.measure.endswith(MEAN_CURVE):
        return prediction_interval(list(found.row.values.values()), runs, confidence)
    assert isinstance(found.measure, RecordMeasure)
    records = [record for _, record in sorted(found.cell.records.items())]
    return bootstrap_prediction(records, _of_population(found.measure), runs, confidence)


def _conditions(
    suite: Counterparts, published: Beside, ours: Counterpart, link: PublishedNote
) -> list[str]:
    """Return what is otherwise with us than in the paper."""
    conditions = [*suite.conditions_of_run([ours.dataset], [ours.label]), *link.differs]
    if ours.found is None:
        return conditions
    row, records = ours.found.row, ours.found.cell.records.values()
    described = suite.links.described(link.experiment, published.metric, published.settings)
    if isinstance(described, str) or described.label != ours.measure:
        conditions.append(f"`{ours.measure}` stands for {published.metric.replace('_', ' ')}")
    config = next(note.config for note in suite.manifest.measures if note.label == ours.measure)
    epochs, after = {_epochs(record) for record in records}, published.settings.get("epoch")
    at_the_end = config.get("epoch") is None and config.get("checkpoint") != "initial"
    if isinstance(after, int) and at_the_end and epochs != {after}:
        trained = " or ".join(str(count) for count in sorted(epochs))
        conditions.append(f"trained for {trained} epochs, published after {after}")
    if published.published is not None:
        conditions.append(_number_of_runs(row.n, published.published_n))
    if row.failed:
        conditions.append(f"{row.failed} of {row.n} trials diverged or failed")
    if row.missing:
        conditions.append(f"{row.missing} of {row.n + row.missing} trials have no outcome")
    return [condition for condition in conditions if condition]


def _of_population(measure: RecordMeasure[Any]) -> Callable[[Sequence[Record]], float]:
    def value(records: Sequence[Record]) -> float:
        found = measure.of_population(records)
        return math.inf if found is None else found

    return value


def _no_prediction(row: Row) -> str:
    if row.measure.endswith(MEAN_CURVE):
        return "below 20 trials there is no prediction for a mean curve"
    return "one trial predicts nothing" if row.n == 1 else "no variance: no prediction"


def _number_of_runs(ours: int, published: int | None) -> str:
    if published is None:
        return f"{ours} trials; the paper does not say how many it ran"
    return f"{ours} trials, published {published}" if ours != published else ""


def _epochs(record: Record) -> int:
    return int(record.identity["recipe"]["epochs"])
