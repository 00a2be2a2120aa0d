from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from initbench.measures.measure import Measure
from initbench.reporting import summarise, to_json
from initbench.results import Aggregate, SuiteResults
from initbench.statistics.aggregate import BlockMean
from initbench.store.manifest import MeasureNote, TrialEntry
from initbench.store.record import Record, TrialStatus
from tests.factories import manifest, record
from tests.reporting.cases import ACCURACY, SPEED

NAMES = ("default", "he", "lsuv")


def on_blocks(
    blocks: int,
    seeds: int,
    *,
    names: Sequence[str] = NAMES,
    measures: Sequence[Measure[Any]] = (ACCURACY,),
    lost: Sequence[tuple[str, int]] = (),
) -> SuiteResults:
    """A suite on several data sets; `lost` names (initialiser, block) without any outcome."""
    records: dict[str, Record] = {}
    entries = []
    for block in range(blocks):
        for name in names:
            for seed in range(seeds):
                trial = record(
                    initialiser=name,
                    dataset=f"set{block}",
                    seed=seed,
                    accuracy=_accuracy(block, names.index(name), seed),
                )
                if (name, block) not in lost:
                    records[trial.key] = trial
                entries.append(
                    TrialEntry(
                        key=trial.key,
                        initialiser=name,
                        model="zoo_cnn",
                        dataset=f"set{block}",
                        seed=seed,
                    )
                )
    chosen = [MeasureNote(name=m.name, config={}, label=m.label()) for m in measures]
    planned = manifest(initialisers=list(names), trials=entries, measures=chosen, margins={})
    return summarise(planned, records, list(measures), {})


def _accuracy(block: int, initialiser: int, seed: int) -> float:
    chance = random.Random(f"{block}/{initialiser}/{seed}")
    shared = random.Random(f"{block}/{seed}").gauss(0, 0.02)
    return 0.7 + 0.05 * block + 0.01 * initialiser + shared + chance.gauss(0, 0.004)


def line_of(results: SuiteResults, initialiser: str) -> Aggregate:
    (found,) = results.aggregates
    return next(line for line in found.lines if line.initialiser == initialiser)


def test_rule_303_one_model_and_data_set_have_no_aggregates() -> None:
    assert on_blocks(1, 5).aggregates == []


def test_rule_305_the_mean_over_blocks_is_that_of_the_differences_in_yardsticks() -> None:
    results = on_blocks(3, 6)
    (found,) = results.aggregates
    values = {(r.initialiser, r.dataset): np.array([*r.values.values()]) for r in results.rows}
    sizes = [np.median([values[n, f"set{b}"].std(ddof=1) for n in NAMES]) for b in range(3)]
    assert found.yardsticks == pytest.approx(sizes)
    differences = [
        (values["he", f"set{b}"] - values["default", f"set{b}"]) / sizes[b] for b in range(3)
    ]
    expected = BlockMean.of(differences)
    assert expected is not None
    line = line_of(results, "he")
    assert line.difference == pytest.approx(expected.value)
    assert (line.low, line.high) == pytest.approx(expected.interval(0.95))
    assert line.improvement == pytest.approx(np.mean([d > 0 for d in differences]))
    assert line.bootstrap_low is None
    assert "too few seeds for a bootstrap" in found.note


def test_rule_308_clear_differences_have_ranks_and_the_reference_has_no_difference() -> None:
    results = on_blocks(3, 12)
    ranks = {n: (line_of(results, n).best_rank, line_of(results, n).worst_rank) for n in NAMES}
    assert ranks == {"lsuv": (1, 1), "he": (2, 2), "default": (3, 3)}
    assert line_of(results, "default").difference is None
    line = line_of(results, "lsuv")
    assert line.bootstrap_low is not None
    assert line.difference is not None
    assert line.low is not None
    assert line.bootstrap_low == pytest.approx(line.low, abs=0.1)
    assert len(line.profile_low) == len(line.profile) == len(results.aggregates[0].thresholds)


def test_rule_309_critical_differences_from_ten_blocks_on() -> None:
    few, many = on_blocks(3, 2).aggregates[0], on_blocks(10, 2).aggregates[0]
    assert few.critical_difference is None
    assert "no critical difference below 10 blocks, here 3" in few.note
    assert many.critical_difference is not None
    assert many.note == "too few seeds for a bootstrap"


def test_rule_303_who_is_not_on_every_block_is_named_and_left_out() -> None:
    (found,) = on_blocks(3, 4, lost=[("he", 1)]).aggregates
    assert [line.initialiser for line in found.lines] == ["default", "lsuv"]
    assert "not on all blocks, so not aggregated: he" in found.note
    assert on_blocks(2, 4, lost=[("default", 0)]).aggregates == []


def test_rule_303_without_variance_nothing_is_aggregated_and_a_note_says_why() -> None:
    results = on_blocks(2, 4, measures=[SPEED])
    (found,) = results.aggregates
    assert found.lines == []
    assert (
        found.note == "not aggregated: on zoo_cnn, set0, half of the initialisers have no variance"
    )


def test_a_failed_trial_pulls_its_initialiser_down_and_nobody_else() -> None:
    usual = on_blocks(2, 12)
    records: dict[str, Record] = {}
    entries = []
    for row in usual.rows:
        for seed, accuracy in row.values.items():
            trial = record(
                initialiser=row.initialiser, dataset=row.dataset, seed=seed, accuracy=accuracy
            )
            if (row.initialiser, seed) == ("he", 3):
                trial = trial.model_copy(update={"status": TrialStatus.DIVERGED})
            records[trial.key] = trial
            entries.append(
                TrialEntry(
                    key=trial.key,
                    initialiser=row.initialiser,
                    model=row.model,
                    dataset=row.dataset,
                    seed=seed,
                )
            )
    measures = [MeasureNote(name=ACCURACY.name, config={}, label=ACCURACY.label())]
    planned = manifest(initialisers=list(NAMES), trials=entries, measures=measures, margins={})
    failed = summarise(planned, records, [ACCURACY], {})
    before, after = line_of(usual, "he"), line_of(failed, "he")
    assert before.difference is not None
    assert after.difference is not None
    assert after.difference < before.difference - 1
    assert line_of(failed, "lsuv").difference == pytest.approx(
        line_of(usual, "lsuv").difference, rel=0.2
    )


def test_aggregates_are_exported() -> None:
    results = on_blocks(2, 4)
    tree = json.loads(json.dumps(to_json(results), allow_nan=False))
    assert [line["initialiser"] for line in tree["aggregates"][0]["lines"]] == list(NAMES)
