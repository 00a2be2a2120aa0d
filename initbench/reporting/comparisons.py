"""Comparisons: every initialiser with the reference or all others, and verdicts over the family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from initbench.measures.measure import Measure, PopulationMeasure, RecordMeasure
from initbench.reporting.cells import Cell, capped, values_of
from initbench.reporting.test_set import on_test_images
from initbench.results import Comparison
from initbench.statistics.comparison import Estimate, Judgement, compare, judge
from initbench.statistics.tests import log_rank
from initbench.store.manifest import SuiteManifest
from initbench.store.record import TrialStatus


def comparisons(
    manifest: SuiteManifest, cells: Sequence[Cell], measure: Measure[Any], label: str
) -> list[Comparison]:
    """Compare all cells of a family and judge them together (rule 17)."""
    margin = manifest.margins.get(label)
    opponents = [_Opponents(manifest, measure, label, *two) for two in family(manifest, cells)]
    estimates = [pair.estimate(margin) for pair in opponents]
    judgements = judge(
        estimates,
        correction=manifest.correction,
        confidence=manifest.confidence,
        margin=margin,
        direction=measure.direction,
    )
    return [
        _comparison(label, pair, estimate, judgement)
        for pair, estimate, judgement in zip(opponents, estimates, judgements, strict=True)
    ]


def family(manifest: SuiteManifest, cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Return which cells are compared with which, on the same model and data set.

    First all with the reference's; then, if the suite asks for it, all others with each other.
    """
    references = {(c.model, c.dataset): c for c in cells if c.initialiser == manifest.reference}
    others = [cell for cell in cells if cell.initialiser != manifest.reference]
    compared = [
        (cell, references[cell.model, cell.dataset])
        for cell in others
        if (cell.model, cell.dataset) in references
    ]
    if manifest.family == "reference":
        return compared
    return compared + [
        (first, second)
        for first, second in combinations(others, 2)
        if (first.model, first.dataset) == (second.model, second.dataset)
    ]


@dataclass(frozen=True)
class _Opponents:
    """A cell and the one that it is compared with, mostly the reference's."""

    manifest: SuiteManifest
    measure: Measure[Any]
    label: str
    cell: Cell
    reference: Cell

    @cached_property
    def raw(self) -> tuple[dict[int, float], dict[int, float]]:
        return (
            values_of(self.measure, self.label, self.cell),
            values_of(self.measure, self.label, self.reference),
        )

    @cached_property
    def values(self) -> tuple[dict[int, float], dict[int, float]]:
        """The values of both as tests of means take them: misses capped (rule 4)."""
        a, b = self.raw
        return capped(self.measure, self.cell, a), capped(self.measure, self.reference, b)

    def estimate(self, margin: float | None) -> Estimate:
        """Compare all values that count, failures scored by rule."""
        return self._compare(*self.values, margin)

    def without_failures(self) -> dict[str, Any] | None:
        """Return the comparison of the trials that are done, if any others count (rule 27)."""
        a, b = self.values
        shared = isinstance(self.measure, PopulationMeasure)  # its values hang together
        if shared or not (self.cell.failed or self.reference.failed):
            return None
        done = self._compare(_without(a, self.cell.failed), _without(b, self.reference.failed))
        return {
            "test": done.test,
            "n": done.n,
            "difference": done.difference,
            "low": done.interval.low if done.interval else None,
            "high": done.interval.high if done.interval else None,
            "p": done.p,
        }

    def log_rank(self) -> float | None:
        """Compare how fast both reach a target; None where the measure has none (rule 12)."""
        both = (self.cell, self.reference)
        caps = [self.measure.cap(record) for cell in both for record in cell.records.values()]
        known = [cap for cap in caps if cap is not None]
        a, b = self.raw
        return log_rank([*a.values()], [*b.values()], max(known)) if known else None

    def test_images(self) -> dict[str, Any] | None:
        """Return what the finite test set leaves open; None where nobody asked (rule 30)."""
        if not isinstance(self.measure, RecordMeasure) or self.measure.correct_images() is None:
            return None
        seen, of_reference = (
            c.observed.of_cell(self.label, c.names) for c in (self.cell, self.reference)
        )
        return on_test_images(seen, of_reference, self.manifest.confidence)

    def notes(self) -> list[str]:
        """Return what the values themselves do not say."""
        misses = sum(math.isinf(x) for x in (*self.raw[0].values(), *self.raw[1].values()))
        cells = (self.cell, self.reference)
        failed = sum(len(c.failed & v.keys()) for c, v in zip(cells, self.raw, strict=True))
        capped_all = all(math.isfinite(x) for v in self.values for x in v.values())
        return [
            f"missed targets count as a complete run: {misses}" if misses and capped_all else "",
            f"failed trials count with the worst value: {failed}" if failed else "",
        ]

    def _compare(
        self, a: Mapping[int, float], b: Mapping[int, float], margin: float | None = None
    ) -> Estimate:
        return compare(
            a,
            b,
            test=self.manifest.test,
            confidence=self.manifest.confidence,
            margin=margin,
            direction=self.measure.direction,
            unpaired_because=broken_streams(self.cell, self.reference),
        )


def _comparison(
    label: str, pair: _Opponents, estimate: Estimate, judgement: Judgement
) -> Comparison:
    interval = estimate.interval
    notes = [*estimate.notes, *judgement.notes, *pair.notes()]
    return Comparison(
        measure=label,
        **pair.cell.names,
        reference=pair.reference.initialiser,
        test=estimate.test,
        n=estimate.n,
        difference=estimate.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p=estimate.p,
        p_corrected=judgement.p_corrected,
        effect=estimate.effect,
        verdict=judgement.verdict,
        more_seeds=judgement.more_seeds,
        sensitivity={
            **asdict(estimate.sensitivity),
            "log_rank_p": pair.log_rank(),
            "without_failures": pair.without_failures(),
            "test_images": pair.test_images(),
        },
        note="; ".join(note for note in notes if note),
        statistic=estimate.statistic,
        df=estimate.df,
        p_equivalence=estimate.p_equivalence,
        p_equivalence_corrected=judgement.p_equivalence_corrected,
    )


def _without(values: Mapping[int, float], seeds: set[int]) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if seed not in seeds}


def broken_streams(cell: Cell, reference: Cell) -> str:
    """Say why equal seeds are no pairs: two trials of one seed saw other batches (rule 11)."""
    for seed in sorted(cell.records.keys() & reference.records.keys()):
        both = cell.records[seed], reference.records[seed]
        orders = {r.streams.batch_order for r in both if r.streams is not None}
        if len(orders) > 1 and all(r.status is TrialStatus.DONE for r in both):
            return f"seed {seed} saw other batches"
    return ""
