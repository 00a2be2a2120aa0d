"""Before a run: the differences that the seeds of a suite can show (rule 26)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from initbench.measures.measure import Measure
from initbench.reporting.cells import Cell, capped, cells_of, values_of
from initbench.reporting.comparisons import family
from initbench.reporting.observed import Observed
from initbench.statistics.power import Spread, minimal_detectable_difference
from initbench.store.manifest import SuiteManifest
from initbench.store.record import Record


@dataclass(frozen=True)
class Detectable:
    """What one family of comparisons can show."""

    measure: str
    unit: str
    comparisons: int
    seeds: int
    difference: float | None  # the smallest found with 80 % power, in the measure's unit
    in_deviations: float | None  # the same in deviations of what is tested; None below two seeds
    seen_on: int  # comparisons whose records the deviation is from; 0: there are none yet


def detectable(
    manifest: SuiteManifest,
    records: Mapping[str, Record],
    measures: Sequence[Measure[Any]],
    observed: Observed,
) -> list[Detectable]:
    """Return, for each measure, the smallest difference that its comparisons find.

    Args:
        manifest: the suite that is planned.
        records: by key, those of its trials that are there.
        measures: those of the manifest, in its order.
        observed: what probes saw of its trials.
    """
    cells = cells_of(manifest, records, observed)
    return [
        _family(manifest, [c for c in cells if choice.taken_on(c.dataset)], measure, choice.label)
        for measure, choice in zip(measures, manifest.measures, strict=True)
    ]


def _family(
    manifest: SuiteManifest, cells: Sequence[Cell], measure: Measure[Any], label: str
) -> Detectable:
    pairs = family(manifest, cells)
    seeds, alpha = len(manifest.seeds), 1 - manifest.confidence
    # That of Holm for the first comparison to be significant, which is that of Bonferroni.
    level = alpha if manifest.correction == "none" else alpha / max(len(pairs), 1)
    seen = [s for pair in pairs if (s := _spread(manifest, measure, label, *pair)) is not None]
    unit = Spread(1.0) if manifest.test == "paired_t" else Spread(math.sqrt(2), 2.0)
    sd = math.sqrt(fmean(spread.sd**2 for spread in seen)) if seen else None
    smallest = minimal_detectable_difference(unit, seeds, level)
    return Detectable(
        measure=label,
        unit=measure.unit,
        comparisons=len(pairs),
        seeds=seeds,
        difference=None if sd is None or smallest is None else smallest * sd / unit.sd,
        in_deviations=smallest,
        seen_on=len(seen),
    )


def _spread(
    manifest: SuiteManifest, measure: Measure[Any], label: str, cell: Cell, reference: Cell
) -> Spread | None:
    a, b = (capped(measure, c, values_of(measure, label, c)) for c in (cell, reference))
    if not all(math.isfinite(x) for x in (*a.values(), *b.values())):
        return None
    match manifest.test:
        case "welch":
            return Spread.of_groups([*a.values()], [*b.values()])
        case "student_t":
            return Spread.of_pooled_groups([*a.values()], [*b.values()])
    shared = sorted(a.keys() & b.keys())
    return Spread.of_pairs([a[seed] for seed in shared], [b[seed] for seed in shared])
