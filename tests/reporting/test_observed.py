"""What probes saw is found by measure and cell, and what they could not see is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
import torch

from initbench.api import (
    Config,
    NetworkMeasure,
    Observation,
    PopulationMeasure,
    PopulationValue,
    Probe,
)
from initbench.reporting import summarise
from initbench.reporting.observed import Observed
from initbench.results import SuiteResults
from initbench.store.artifact import StoredArtifact
from initbench.store.identity import digest
from initbench.store.manifest import DatasetNote, ObservationEntry
from initbench.store.record import Failure, Record, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter
from tests.reporting.cases import comparison_of, cost, row_of, suite, trials

NAMES = {"initialiser": "he", "model": "zoo_cnn", "dataset": "digits"}
CELLS = {"default": trials("default", [0.5, 0.6, 0.7]), "he": trials("he", [0.8, 0.7, 0.9])}


class OfTrials(NetworkMeasure[Config]):
    name = "of_trials"
    summary = "a test"
    unit = "fraction"
    direction = "higher"

    def probe(self) -> Probe:
        raise AssertionError("nobody looks")

    def of_observation(self, observation: Observation, record: Record) -> float | None:
        value: float | None = observation.description["value"]
        return value

    def worst(self, record: Record) -> float | None:
        return None if record.status is TrialStatus.FAILED else 0.125


class OfCells(PopulationMeasure[Config]):
    name = "of_cells"
    summary = "a test"
    unit = "fraction"
    direction = "higher"

    def probe(self) -> Probe:
        raise AssertionError("nobody looks")

    def of_cell(
        self, observation: Observation, records: Mapping[int, Record]
    ) -> PopulationValue | None:
        parts = observation.tensors["parts"].tolist()
        pseudo = dict(zip(records, observation.description["pseudo"], strict=True))
        return PopulationValue(fmean(parts), pseudo, parts) if parts else None


TRIALS, CELL = OfTrials(Config()), OfCells(Config())


class Seen:
    """A store into which a test puts what probes saw of CELLS."""

    def __init__(self, writer: StoreWriter) -> None:
        self.spool, self.writer = Spool(writer.paths.spool / "test"), writer
        self.entries: list[ObservationEntry] = []

    def put(
        self,
        label: str,
        initialiser: str,
        seed: int | None = None,
        *,
        parts: Sequence[float] = (),
        images: str | None = None,
        failure: str = "",
        **description: Any,
    ) -> None:
        identity = {"label": label, "initialiser": initialiser, "seed": seed}
        artifact = StoredArtifact(
            key=digest(identity),
            kind="observation",
            identity=identity,
            status=TrialStatus.FAILED if failure else TrialStatus.DONE,
            failure=Failure(kind="Error", message=failure, log="") if failure else None,
            description=description,
            cost=cost(1.0),
            environment={},
        )
        tensors = {"parts": torch.tensor(parts, dtype=torch.float64)}
        self.writer.adopt(self.spool.put_artifact(artifact, tensors))
        place = {**NAMES, "initialiser": initialiser}
        self.entries.append(
            ObservationEntry(key=artifact.key, measures=[label], seed=seed, images=images, **place)
        )

    def results(
        self, measures: Sequence[Any], cells: Mapping[str, Sequence[Record]] = CELLS, **fields: Any
    ) -> SuiteResults:
        manifest = suite(cells, measures, observations=self.entries, **fields)
        records = {trial.key: trial for cell in cells.values() for trial in cell}
        return summarise(manifest, records, measures, {}, Observed.of(self.writer, manifest))


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    with Store(tmp_path / "results").lock("a test") as writer:
        yield Seen(writer)


def test_trials_have_the_values_that_were_seen_of_them(seen: Seen) -> None:
    for initialiser, values in (("default", [0.1, 0.2, 0.3]), ("he", [0.3, 0.5, 0.5])):
        for seed, value in enumerate(values):
            seen.put("of_trials", initialiser, seed, value=value)
    results = seen.results([TRIALS])
    row = row_of(results, "he", "of_trials")
    assert row.values == {0: 0.3, 1: 0.5, 2: 0.5}
    assert row.parts == []
    assert comparison_of(results, "he", "of_trials").difference == pytest.approx(7 / 30)


def test_trials_that_nobody_looked_at_or_that_have_no_number_are_counted_out(seen: Seen) -> None:
    seen.put("of_trials", "he", 0, value=0.3)
    seen.put("of_trials", "he", 1, value=None)
    row = row_of(seen.results([TRIALS]), "he", "of_trials")
    assert row.values == {0: 0.3, 1: 0.125}
    assert "no value for 1 of 3 trials" in row.note
    failed = [r.model_copy(update={"status": TrialStatus.FAILED}) for r in CELLS["he"]]
    row = row_of(seen.results([TRIALS], {**CELLS, "he": failed}), "he", "of_trials")
    assert row.values == {0: 0.3}


def test_a_cell_shows_its_parts_and_is_tested_by_its_pseudo_values(seen: Seen) -> None:
    seen.put("of_cells", "default", parts=[0.2, 0.4], pseudo=[0.2, 0.3, 0.4])
    seen.put("of_cells", "he", parts=[0.5, 0.6, 1.0, 0.7], pseudo=[0.6, 0.7, 0.8])
    results = seen.results([CELL])
    row = row_of(results, "he", "of_cells")
    assert row.parts == [0.5, 0.6, 1.0, 0.7]
    assert row.median == pytest.approx(median(row.parts))
    assert row.mean == pytest.approx(0.7)
    assert row.values == {0: 0.6, 1: 0.7, 2: 0.8}
    comparison = comparison_of(results, "he", "of_cells")
    assert comparison.n == 3  # not the number of ensembles
    assert comparison.difference == pytest.approx(0.4)
    assert comparison.sensitivity["without_failures"] is None


def test_a_trial_that_failed_is_said_to_count_only_where_it_has_a_value(seen: Seen) -> None:
    failed = [CELLS["he"][0].model_copy(update={"status": TrialStatus.FAILED}), *CELLS["he"][1:]]
    cells = {**CELLS, "he": failed}
    seen.put("of_cells", "default", parts=[0.2, 0.4], pseudo=[0.2, 0.3, 0.4])
    seen.put("of_cells", "he", parts=[0.5], pseudo=[0.6, 0.7, 0.8])
    found = comparison_of(seen.results([CELL], cells), "he", "of_cells")
    assert "failed trials count with the worst value: 1" in found.note
    for seed, value in ((0, None), (1, 0.3), (2, 0.4)):
        seen.put("of_trials", "default", seed, value=0.2)
        seen.put("of_trials", "he", seed, value=value)
    found = comparison_of(seen.results([TRIALS], cells), "he", "of_trials")
    assert "failed trials" not in found.note


def test_a_cell_without_a_value_says_so(seen: Seen) -> None:
    seen.put("of_cells", "he", parts=[], pseudo=[0.0, 0.0, 0.0])
    results = seen.results([CELL])
    for initialiser in ("he", "default"):  # at the second nobody has looked
        row = row_of(results, initialiser, "of_cells")
        assert (row.mean, row.values, row.parts) == (None, {}, [])
        assert "no value for 3 of 3 trials" in row.note


def test_a_cell_that_lacks_a_trial_has_no_value_yet(seen: Seen) -> None:
    seen.put("of_cells", "he", parts=[0.5, 0.6], pseudo=[0.6, 0.7, 0.8])
    lost = [*CELLS["he"][:2], CELLS["he"][2].model_copy(update={"status": TrialStatus.LOST})]
    assert row_of(seen.results([CELL], {**CELLS, "he": lost}), "he", "of_cells").mean is None


def test_a_probe_that_raised_is_a_note_of_the_suite(seen: Seen) -> None:
    seen.put("of_cells", "he", failure="cannot look")
    seen.put("of_cells", "default", failure="cannot look")
    results = seen.results([CELL])
    assert "no value for of_cells of he; of_cells of default: cannot look" in results.notes
    assert row_of(results, "he", "of_cells").mean is None


def test_marks_of_other_images_stand_beside_the_number(seen: Seen) -> None:
    seen.put("of_cells", "he", parts=[0.5], pseudo=[0.5, 0.5, 0.5], images="letters(bold)")
    seen.put("of_cells", "default", parts=[0.5], pseudo=[0.5, 0.5, 0.5], images="clean")
    notes = [note("letters(bold)", ["made here", "substitute"]), note("clean", [])]
    results = seen.results([CELL], datasets=notes)
    assert "letters(bold): made here, substitute" in row_of(results, "he", "of_cells").note
    assert "clean" not in row_of(results, "default", "of_cells").note


def note(label: str, marks: list[str]) -> DatasetNote:
    return DatasetNote(
        label=label,
        name="letters",
        config={},
        summary="a test",
        citation="Nobody, 2026",
        url=None,
        licence="CC0",
        fingerprint="0" * 64,
        images={},
        marks=marks,
        remarks=marks,
    )
