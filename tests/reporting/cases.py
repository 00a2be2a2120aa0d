"""Small suites for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from initbench.measures.measure import Measure
from initbench.measures.steps_to_threshold import StepsToThreshold, StepsToThresholdConfig
from initbench.measures.test_accuracy import TestAccuracy, TestAccuracyConfig
from initbench.reporting import summarise
from initbench.results import Comparison, Row, SuiteResults
from initbench.store.artifact import StoredArtifact
from initbench.store.manifest import MeasureNote, SuiteManifest, TrialEntry
from initbench.store.record import Cost, Record
from tests.factories import manifest, record

ACCURACY = TestAccuracy(TestAccuracyConfig())
SPEED = StepsToThreshold(StepsToThresholdConfig(threshold=0.8))

DEFAULT = [0.90, 0.90, 0.93, 0.92, 0.88, 0.91, 0.89, 0.92]
HE = [0.95, 0.94, 0.96, 0.96, 0.94, 0.95, 0.93, 0.97]


def suite(
    cells: Mapping[str, Sequence[Record]],
    measures: Sequence[Measure[Any]] = (ACCURACY,),
    **fields: Any,
) -> SuiteManifest:
    """A suite with one entry for each record; seeds are their positions."""
    entries = [
        TrialEntry(key=trial.key, initialiser=name, model="zoo_cnn", dataset="digits", seed=seed)
        for name, trials in cells.items()
        for seed, trial in enumerate(trials)
    ]
    choices = [MeasureNote(name=m.name, config={}, label=m.label()) for m in measures]
    stated = {"trials": entries, "measures": choices, "margins": {}, **fields}
    return manifest(initialisers=list(cells), **stated)


def trials(initialiser: str, accuracies: Sequence[float], **fields: Any) -> list[Record]:
    return [
        record(initialiser=initialiser, seed=seed, accuracy=accuracy, **fields)
        for seed, accuracy in enumerate(accuracies)
    ]


def summary(
    cells: Mapping[str, Sequence[Record]],
    measures: Sequence[Measure[Any]] = (ACCURACY,),
    artifacts: Mapping[str, StoredArtifact] | None = None,
    **fields: Any,
) -> SuiteResults:
    """The results of a suite whose records are all there."""
    records = {trial.key: trial for cell in cells.values() for trial in cell}
    return summarise(suite(cells, measures, **fields), records, measures, artifacts or {})


def row_of(results: SuiteResults, initialiser: str, measure: str = "test_accuracy") -> Row:
    (row,) = (r for r in results.rows if (r.initialiser, r.measure) == (initialiser, measure))
    return row


def comparison_of(
    results: SuiteResults, initialiser: str, measure: str = "test_accuracy"
) -> Comparison:
    (found,) = (
        c for c in results.comparisons if (c.initialiser, c.measure) == (initialiser, measure)
    )
    return found


def cost(seconds: float, **fields: Any) -> Cost:
    values: dict[str, Any] = {
        "wall_seconds": 2 * seconds,
        "device_seconds": seconds,
        "peak_memory_bytes": 100,
        "images_seen": 3300,
        "steps": 33,
        "exclusive": True,
    }
    return Cost(**{**values, **fields})
