from __future__ import annotations

import pytest
from scipy import stats

from initbench.measures.failure_rate import FailureRate
from initbench.plugin.initialiser import Config
from initbench.reporting import summarise
from initbench.statistics.correction import correct
from initbench.store.record import Streams, TrialStatus
from tests.factories import record
from tests.reporting.cases import (
    ACCURACY,
    DEFAULT,
    HE,
    SPEED,
    comparison_of,
    suite,
    summary,
    trials,
)


def test_a_comparison_is_initialiser_minus_reference_by_seed() -> None:
    results = summary(
        {"default": trials("default", DEFAULT), "he": trials("he", HE)},
        margins={"test_accuracy": 0.005},
    )
    found = comparison_of(results, "he")
    expected = stats.ttest_rel(HE, DEFAULT)
    assert (found.reference, found.test, found.n, found.verdict) == (
        "default",
        "paired_t",
        8,
        "better",
    )
    assert found.difference == pytest.approx(0.04375)
    assert (found.p, found.p_corrected) == pytest.approx([expected.pvalue] * 2)
    assert (found.statistic, found.df) == pytest.approx((expected.statistic, 7))
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_equivalence is not None
    assert found.p_equivalence > 0.99
    assert found.sensitivity["probability_of_improvement"] == 1.0
    assert found.sensitivity["without_failures"] is None
    assert len(results.comparisons) == 1


def test_a_suite_may_declare_welch_no_correction_and_another_confidence() -> None:
    cells = {"default": trials("default", DEFAULT), "he": trials("he", HE)}
    found = comparison_of(summary(cells, test="welch", correction="none", confidence=0.9), "he")
    expected = stats.ttest_ind(HE, DEFAULT, equal_var=False)
    assert (found.test, found.note) == ("welch", "")
    assert found.p == found.p_corrected == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_rule_17_the_family_spans_models_and_data_sets_but_not_measures() -> None:
    accuracies = {
        "default": DEFAULT,
        "he": [x + 0.01 * (i % 3) for i, x in enumerate(DEFAULT)],
        "lsuv": [x - 0.02 * (i % 2) for i, x in enumerate(DEFAULT)],
    }
    cells = {name: trials(name, values) for name, values in accuracies.items()}
    elsewhere = {
        name: trials(
            name, [0.7 + 0.2 * x + 0.002 * (i % 2) for i, x in enumerate(values)], model="mlp"
        )
        for name, values in accuracies.items()
    }
    here, there = suite(cells, [ACCURACY, SPEED]), suite(elsewhere)
    moved = [entry.model_copy(update={"model": "mlp"}) for entry in there.trials]
    both = here.model_copy(update={"trials": [*here.trials, *moved]})
    records = {t.key: t for c in (*cells.values(), *elsewhere.values()) for t in c}
    results = summarise(both, records, [ACCURACY, SPEED], {})
    family = [c for c in results.comparisons if c.measure == "test_accuracy"]
    names = [(c.model, c.initialiser) for c in family]
    assert names == [(model, name) for model in ("zoo_cnn", "mlp") for name in ("he", "lsuv")]
    raw = [c.p for c in family]
    assert [c.p_corrected for c in family] == correct(raw, "holm")
    smallest = min(family, key=lambda c: c.p or 1)
    assert smallest.p is not None
    assert smallest.p_corrected == pytest.approx(4 * smallest.p)


def test_rule_27_failures_are_scored_by_rule_and_left_out_a_second_time() -> None:
    cell = trials("he", HE)
    cell[1] = record(initialiser="he", seed=1, status=TrialStatus.DIVERGED, accuracy=0.94)
    found = comparison_of(summary({"default": trials("default", DEFAULT), "he": cell}), "he")
    scored = [0.1 if seed == 1 else value for seed, value in enumerate(HE)]
    assert (found.test, found.n) == ("paired_t", 8)
    assert found.p == pytest.approx(stats.ttest_rel(scored, DEFAULT).pvalue)
    assert found.note == "failed trials count with the worst value: 1"
    without = found.sensitivity["without_failures"]
    done = [value for seed, value in enumerate(HE) if seed != 1]
    expected = stats.ttest_ind(done, DEFAULT, equal_var=False)
    assert (without["test"], without["n"]) == ("welch", 7)
    assert without["p"] == pytest.approx(expected.pvalue)
    assert without["difference"] == pytest.approx(sum(done) / 7 - sum(DEFAULT) / 8)


def test_rule_27_where_every_trial_failed_nothing_is_left() -> None:
    failed = [r.model_copy(update={"status": TrialStatus.DIVERGED}) for r in trials("he", HE)]
    found = comparison_of(summary({"default": trials("default", DEFAULT), "he": failed}), "he")
    assert found.verdict == "worse"
    assert found.sensitivity["without_failures"]["n"] == 0
    assert found.sensitivity["without_failures"]["p"] is None


def test_rule_4_misses_count_as_a_complete_run() -> None:
    slow = trials("he", [0.95, 0.7, 0.7, 0.95])
    results = summary({"default": trials("default", [0.95] * 4), "he": slow}, [SPEED])
    found = comparison_of(results, "he", "steps_to_0.8")
    expected = stats.ttest_rel([22, 33, 33, 22], [22] * 4)
    assert found.difference == 5.5
    assert found.p == pytest.approx(expected.pvalue)
    assert found.note == "missed targets count as a complete run: 2"


def test_fewer_steps_are_better() -> None:
    fast, slow = trials("he", [0.95] * 6), trials("default", [0.85] * 6)
    found = comparison_of(summary({"default": slow, "he": fast}, [SPEED]), "he", "steps_to_0.8")
    assert (found.difference, found.verdict) == (-11, "better")
    assert found.p == pytest.approx(2 / 2**6)  # rule 16


def test_rule_11_a_missing_trial_breaks_pairing() -> None:
    cells = {"default": trials("default", DEFAULT), "he": trials("he", HE)}
    records = {t.key: t for cell in cells.values() for t in cell if t is not cells["he"][4]}
    found = comparison_of(summarise(suite(cells), records, [ACCURACY], {}), "he")
    assert (found.test, found.n) == ("welch", 7)
    assert "seed 4" in found.note


def test_rule_11_other_batches_break_pairing_unless_a_trial_stopped_early() -> None:
    other = Streams(initial_weights="0" * 64, batch_order="1" * 64)
    cell = trials("he", HE)
    cell[2] = record(initialiser="he", seed=2, accuracy=HE[2], streams=other)
    cells = {"default": trials("default", DEFAULT), "he": cell}
    found = comparison_of(summary(cells), "he")
    assert found.test == "welch"
    assert "seed 2 saw other batches" in found.note
    cells["he"][2] = cell[2].model_copy(update={"status": TrialStatus.DIVERGED})
    assert comparison_of(summary(cells), "he").test == "paired_t"


def test_one_seed_is_undecided() -> None:
    cells = {"default": trials("default", [0.9]), "he": trials("he", [0.95])}
    found = comparison_of(summary(cells), "he")
    assert (found.n, found.p, found.verdict, found.more_seeds) == (1, None, "undecided", None)
    assert "one seed" in found.note


def test_without_the_reference_nothing_is_compared_and_a_note_says_so() -> None:
    results = summary({"he": trials("he", HE)}, reference="default")
    assert results.comparisons == []
    assert any("`default` is not in this run" in note for note in results.notes)


def test_a_reference_without_any_outcome_leaves_everything_undecided() -> None:
    cells = {"default": trials("default", DEFAULT), "he": trials("he", HE)}
    records = {trial.key: trial for trial in cells["he"]}
    found = comparison_of(summarise(suite(cells), records, [ACCURACY], {}), "he")
    assert (found.n, found.difference, found.verdict) == (0, None, "undecided")
    assert "no values on one side" in found.note


def test_failure_rates_that_are_all_zero_do_not_differ() -> None:
    cells = {"default": trials("default", DEFAULT), "he": trials("he", HE)}
    measure = FailureRate(Config())
    found = comparison_of(summary(cells, [measure]), "he", "failure_rate")
    assert (found.difference, found.p, found.verdict) == (0, 1.0, "undecided")


def test_the_order_of_trials_in_the_suite_does_not_change_a_number() -> None:
    cells = {"default": trials("default", DEFAULT), "he": trials("he", HE)}
    plain = suite(cells)
    turned = plain.model_copy(update={"trials": plain.trials[::-1]})
    records = {trial.key: trial for cell in cells.values() for trial in cell}
    one, other = (summarise(m, records, [ACCURACY], {}) for m in (plain, turned))
    assert comparison_of(one, "he") == comparison_of(other, "he")


def test_rule_17_all_initialisers_with_each_other_are_one_family_on_request() -> None:
    middle = [x - 0.02 for x in HE]
    names = {"he": HE, "default": DEFAULT, "lsuv": middle, "xavier": HE[::-1]}
    cells = {name: trials(name, values) for name, values in names.items()}
    results = summary(cells, reference="default", family="all")
    assert [c.initialiser for c in results.comparisons] == ["he", "lsuv", "xavier"]
    assert {c.reference for c in results.comparisons} == {"default"}
    between = {(c.initialiser, c.reference): c for c in results.between_others}
    assert list(between) == [("he", "lsuv"), ("he", "xavier"), ("lsuv", "xavier")]
    found = [*results.comparisons, *results.between_others]
    assert [c.p_corrected for c in found] == correct([c.p for c in found], "holm")
    expected = stats.ttest_rel(middle, HE[::-1])
    one = between["lsuv", "xavier"]
    assert (one.p, one.difference) == pytest.approx((expected.pvalue, -0.02))


def test_by_default_only_the_reference_is_compared_with() -> None:
    cells = {name: trials(name, HE) for name in ("default", "he", "lsuv")}
    results = summary(cells)
    assert (results.family, results.between_others) == ("reference", [])


def test_a_suite_may_declare_students_test() -> None:
    cells = {"default": trials("default", DEFAULT), "he": trials("he", HE)}
    found = comparison_of(summary(cells, test="student_t"), "he")
    assert (found.test, found.df) == ("student_t", 14)
    assert found.p == pytest.approx(stats.ttest_ind(HE, DEFAULT).pvalue)
