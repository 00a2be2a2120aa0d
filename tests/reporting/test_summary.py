from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from initbench.measures.failure_rate import FailureRate
from initbench.plugin.initialiser import Config
from initbench.plugin.registry import Registry
from initbench.reporting import results_of, summarise
from initbench.store.artifact import StoredArtifact
from initbench.store.identity import digest
from initbench.store.record import CoverageRow, TrialStatus
from initbench.store.store import Store
from tests.factories import manifest, record
from tests.reporting.cases import ACCURACY, DEFAULT, HE, SPEED, cost, suite, summary, trials


def test_rule_5_the_band_is_mean_and_quartiles_of_all_trials_that_count() -> None:
    cell = trials("default", [0.9, 0.8, 0.7])
    short = cell[2].curves["validation_accuracy"]
    short = short.model_copy(
        update={"steps": short.steps[:2], "epochs": short.epochs[:2], "values": short.values[:2]}
    )
    cell[2] = cell[2].model_copy(
        update={"status": TrialStatus.DIVERGED, "curves": {"validation_accuracy": short}}
    )
    (band,) = summary({"default": cell}).curves
    values = np.array([[0.1, 0.54, 0.81, 0.9], [0.1, 0.48, 0.72, 0.8], [0.1, 0.42, 0.1, 0.1]])
    assert (band.initialiser, band.n, band.steps) == ("default", 3, [0, 11, 22, 33])
    assert band.mean == pytest.approx(values.mean(axis=0))
    assert band.low == pytest.approx(np.quantile(values, 0.25, axis=0))
    assert band.high == pytest.approx(np.quantile(values, 0.75, axis=0))


def test_a_cell_without_curves_has_no_band() -> None:
    failed = record(status=TrialStatus.FAILED, curves={}, final={})
    assert summary({"he": [failed]}, reference="he").curves == []


@pytest.mark.parametrize("continual", [False, True])
def test_where_numbers_are_predicted_the_band_is_that_of_a_loss(continual: bool) -> None:
    cell = trials("default", [0.9, 0.8])
    recipe = {"continual": {"tasks": 3}} if continual else {}
    for i, one in enumerate(cell):
        curves = {name: curve for name, curve in one.curves.items() if "accuracy" not in name}
        ended = dict(one.final, **{"train_loss.guessing": 7.0})
        cell[i] = one.model_copy(
            update={
                "curves": curves,
                "final": ended,
                "identity": {**one.identity, "recipe": recipe},
            }
        )
    short = {
        name: curve.model_copy(
            update={n: getattr(curve, n)[:3] for n in ("steps", "epochs", "values")}
        )
        for name, curve in cell[1].curves.items()
    }
    cell[1] = cell[1].model_copy(update={"status": TrialStatus.DIVERGED, "curves": short})
    (band,) = summary({"default": cell}, [FailureRate(Config())]).curves
    name, quantity, first = (
        ("train_loss", "training loss", 1)
        if continual
        else ("validation_loss", "validation loss", 0)
    )
    known = cell[0].curves[name].values
    assert band.quantity == quantity
    assert band.steps == [0, 11, 22, 33][first:]
    expected = [known[i] for i in range(first, 3)]
    assert band.mean[:-1] == pytest.approx(expected)
    assert band.mean[-1] == pytest.approx((known[3] + 7.0) / 2)  # type: ignore[operator]


def test_coverage_is_the_mean_share_of_elements() -> None:
    half = [
        CoverageRow(parameter="weight", treatment="generated", elements=50, reason=""),
        CoverageRow(parameter="bias", treatment="fallback", elements=50, reason=""),
    ]
    cell = [record(seed=0), record(seed=1, coverage=half), record(seed=2, coverage=[])]
    (found,) = summary({"he": cell}, reference="he").coverage
    assert found == {
        "initialiser": "he",
        "model": "zoo_cnn",
        "dataset": "digits",
        "generated": pytest.approx((0.9 + 0.5) / 2),
        "rule": pytest.approx(0.05),
        "fallback": pytest.approx(0.25),
        "untouched": 0.0,
    }


def test_cost_is_a_mean_and_a_sum_over_trials() -> None:
    cell = trials("default", [0.9, 0.9])
    cell[1] = cell[1].model_copy(update={"cost": cost(12.0, peak_memory_bytes=999, stack_size=4)})
    cell[0] = cell[0].model_copy(update={"cost": cost(1.0)})
    (found,) = summary({"default": cell}).cost
    assert (found["trials"], found["device_seconds"], found["device_seconds_total"]) == (2, 2, 4)
    assert (found["wall_seconds"], found["wall_seconds_total"]) == (4, 8)
    assert (found["peak_memory_bytes"], found["images_seen"]) == (999, 3300)
    assert found["exclusive"] is False  # one was trained in a stack
    assert found["fit_seconds"] is found["zoo_seconds"] is found["break_even"] is None
    assert found["initialise_seconds"] is found["amortised"] is found["energy_joules"] is None


def test_rule_29_the_account_spreads_zoo_and_fit_over_trainings() -> None:
    fields = {"cost": cost(3.0, energy_joules=40.0), "initialise_cost": cost(0.5)}
    cell = [r.model_copy(update=fields) for r in trials("vae", [0.9] * 2)]
    zoo = [r.model_copy(update=fields) for r in trials("zoo", [0.9] * 2)]
    key = digest("artifact")
    plain = suite({"vae": cell}, reference="vae")
    entries = [e.model_copy(update={"artifact": key}) for e in plain.trials]
    with_zoo = plain.model_copy(update={"trials": entries, "zoos": {key: [z.key for z in zoo]}})
    records = {r.key: r for r in (*cell, *zoo)}
    (found,) = summarise(with_zoo, records, [ACCURACY], {key: fitted(key, 5.0)}).cost
    assert found["initialise_seconds"] == 1.0  # wall
    assert found["energy_joules"] == 40.0
    assert found["before_device_seconds"] == 5.0 + 2 * 3.5
    assert found["before_energy_joules"] is None  # that of the fit is not known
    assert found["amortised"] == {"1": 15.5, "10": 4.7, "100": 3.62, "1000": 3.512}

    del records[zoo[0].key]
    (incomplete,) = summarise(with_zoo, records, [ACCURACY], {key: fitted(key, 5.0)}).cost
    assert incomplete["before_device_seconds"] is incomplete["amortised"] is None


def fitted(key: str, seconds: float) -> StoredArtifact:
    return StoredArtifact(
        key=key,
        kind="fit",
        identity={},
        status=TrialStatus.DONE,
        cost=cost(seconds),
        environment={},
    )


def test_rule_28_zoo_and_fit_are_paid_back_by_the_steps_saved() -> None:
    slow = [r.model_copy(update={"cost": cost(3.3)}) for r in trials("default", [0.85] * 6)]
    fast = [r.model_copy(update={"cost": cost(3.3)}) for r in trials("vae", [0.95] * 6)]
    zoo = [r.model_copy(update={"cost": cost(10.0)}) for r in trials("zoo", [0.9] * 2)]
    cells = {"default": slow, "vae": fast}
    key = digest("artifact")
    plain = suite(cells, [ACCURACY, SPEED])
    entries = [
        e.model_copy(update={"artifact": key}) if e.initialiser == "vae" else e
        for e in plain.trials
    ]
    with_zoo = plain.model_copy(update={"trials": entries, "zoos": {key: [z.key for z in zoo]}})
    records = {r.key: r for r in (*slow, *fast, *zoo)}
    results = summarise(with_zoo, records, [ACCURACY, SPEED], {key: fitted(key, 5.0)})
    reference, found = results.cost
    assert reference["break_even"] is None
    assert (found["fit_seconds"], found["zoo_seconds"]) == (10.0, 40.0)  # wall
    # 11 steps earlier at 0.1 device seconds a step: 1.1 a training; 25 were spent before.
    assert found["break_even"] == 23

    # An initialiser that takes 0.25 longer saves 0.85 a training.
    slower = [r.model_copy(update={"initialise_cost": cost(0.35)}) for r in fast]
    quick = [r.model_copy(update={"initialise_cost": cost(0.1)}) for r in slow]
    measured = {**records, **{r.key: r for r in (*slower, *quick)}}
    later = summarise(with_zoo, measured, [ACCURACY, SPEED], {key: fitted(key, 5.0)}).cost[1]
    assert later["break_even"] == 30

    del records[zoo[0].key]
    incomplete = summarise(with_zoo, records, [ACCURACY, SPEED], {key: fitted(key, 5.0)}).cost[1]
    assert incomplete["zoo_seconds"] is incomplete["break_even"] is None
    no_artifact = summarise(with_zoo, records, [ACCURACY, SPEED], {}).cost[1]
    assert no_artifact["fit_seconds"] is None


def test_rule_28_an_initialiser_that_is_not_faster_never_pays_back() -> None:
    cells = {"default": trials("default", [0.95] * 3), "vae": trials("vae", [0.85] * 3)}
    key = digest("artifact")
    plain = suite(cells, [SPEED])
    entries = [
        e.model_copy(update={"artifact": key}) if e.initialiser == "vae" else e
        for e in plain.trials
    ]
    records = {r.key: r for cell in cells.values() for r in cell}
    results = summarise(
        plain.model_copy(update={"trials": entries}), records, [SPEED], {key: fitted(key, 5.0)}
    )
    assert results.cost[1]["break_even"] is None
    slow_start = {
        r.key: r.model_copy(update={"initialise_cost": cost(9.0 if r in cells["default"] else 0.1)})
        for r in records.values()
    }
    results = summarise(
        plain.model_copy(update={"trials": entries}), slow_start, [SPEED], {key: fitted(key, 5.0)}
    )
    assert results.cost[1]["break_even"] is None
    assert results.cost[1]["fit_seconds"] == 10.0


def test_failures_say_what_happened() -> None:
    failure = {"kind": "ValueError", "message": "no such layer"}
    bad = record(initialiser="he", seed=1, status=TrialStatus.FAILED, failure=failure, final={})
    results = summary({"he": [record(seed=0), bad]}, reference="he")
    assert results.failures == [
        {
            "trial": bad.key,
            "initialiser": "he",
            "model": "zoo_cnn",
            "dataset": "digits",
            "seed": 1,
            "status": "failed",
            "message": "no such layer",
        }
    ]


def test_the_environment_counts_versions_and_notes_the_ones_that_matter() -> None:
    old, new = {"torch": "2.11.0", "device": None}, {"torch": "2.12.0", "variables": {"OMP": "1"}}
    cell = [record(seed=s, environment=old if s else new) for s in range(3)]
    results = summary({"he": cell}, reference="he")
    assert results.environment == {"OMP": {"1": 1}, "torch": {"2.11.0": 2, "2.12.0": 1}}
    assert results.notes == ["trials differ in torch: 2.11.0 (2), 2.12.0 (1)"]


def test_notes_say_what_is_reduced_missing_or_remarked() -> None:
    cell = [record(seed=s, notes=["the kernel is 1x1"]) for s in range(3)]
    lost = cell[2].model_copy(update={"status": TrialStatus.LOST})
    plain = suite({"he": cell}, reference="he", reduced=True, profile="smoke")
    results = summarise(plain, {cell[0].key: cell[0], lost.key: lost}, [ACCURACY], {})
    assert results.notes == [
        "reduced: profile `smoke` is smaller than the experiment that the suite describes",
        "2 of 3 trials have no outcome, 1 of them were lost; `initbench run quickstart` runs them",
        "he: the kernel is 1x1 (1 trial)",
    ]


def test_a_zoo_with_failures_is_noted() -> None:
    zoo = [record(initialiser="zoo", seed=s) for s in range(2)]
    zoo[1] = zoo[1].model_copy(update={"status": TrialStatus.DIVERGED})
    key = digest("artifact")
    plain = suite({"vae": trials("vae", [0.9])}, reference="vae")
    entry = plain.trials[0].model_copy(update={"artifact": key})
    with_zoo = plain.model_copy(update={"trials": [entry], "zoos": {key: [z.key for z in zoo]}})
    results = summarise(with_zoo, {z.key: z for z in zoo}, [ACCURACY], {})
    assert "vae: 1 of 2 zoo trials did not train to the end" in results.notes


def test_the_head_of_the_results_is_that_of_the_suite() -> None:
    results = summary({"default": trials("default", DEFAULT)}, margins={"test_accuracy": 0.01})
    assert (results.suite, results.title) == ("quickstart", "Classical initialisers on real digits")
    assert results.margins == {"test_accuracy": 0.01}
    assert results.citations["default"] == {
        "text": "He et al., 2015",
        "url": "https://arxiv.org/abs/1502.01852",
        "scope": "pointwise",
        "plugin": "initbench",
        "version": "0.1.0",
    }


def test_results_come_from_a_store_and_installed_measures(tmp_path: Path) -> None:
    plain = manifest(initialisers=["default", "he"], seeds=range(8))
    store = Store(tmp_path / "results")
    with store.lock("test") as writer:
        for entry in plain.trials[:-1]:
            accuracy = (DEFAULT if entry.initialiser == "default" else HE)[entry.seed]
            writer.commit(record(initialiser=entry.initialiser, seed=entry.seed, accuracy=accuracy))
    results = results_of(store, plain, Registry.installed())
    assert [(r.initialiser, r.n, r.missing) for r in results.rows] == [
        ("default", 8, 0),
        ("he", 7, 1),
    ]
    assert results.comparisons[0].verdict == "better"
