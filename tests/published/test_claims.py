"""Claims in words: what makes them reproduced, not reproduced or undecided (rules 105 to 112)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from initbench.published.claims import Rules, Scene, check
from initbench.published.kinds import KINDS
from initbench.published.table import Claim, Kind
from initbench.results import ClaimCheck

RULES = Rules(test="welch", correction="holm", confidence=0.95)
NOISE = (-0.010, -0.006, -0.003, 0.0, 0.002, 0.004, 0.006, 0.007)


def around(mean: float, seeds: int = 8, spread: float = 1.0) -> dict[int, float]:
    """Trials around a mean, with a deviation of about 0.006 times `spread`."""
    noise = NOISE[:seeds]
    centre = sum(noise) / seeds
    return {seed: mean + spread * (x - centre) for seed, x in enumerate(noise)}


def claim(kind: Kind, initialisers: list[str], others: list[str], **fields: Any) -> Claim:
    return Claim(
        id="one",
        experiment="accuracy",
        statement="What the paper says.",
        source="harder2023:section 4",
        kind=kind,
        metric="test_accuracy",
        models=["resnet20"],
        datasets=["cifar10"],
        initialisers=initialisers,
        others=others,
        **fields,
    )


def scene(values: Mapping[str, Mapping[int, float]], **fields: Any) -> Scene:
    given: dict[str, Any] = {"measure": "test_accuracy", "unit": "fraction", **fields}
    return Scene("resnet20", "cifar10", {}, values=values, **given)


def checked(
    made: Claim, values: Mapping[str, Mapping[int, float]], rules: Rules = RULES, **fields: Any
) -> ClaimCheck:
    return check(made, [scene(values, **fields)], rules)


def test_every_kind_of_the_language_has_its_rule() -> None:
    assert set(KINDS) == set(get_args(Kind))


class TestHighest:
    made = claim("highest", ["ghn"], ["he", "xavier"])

    def test_is_reproduced_if_it_is_above_each_other(self) -> None:
        found = checked(self.made, {"ghn": around(0.9), "he": around(0.8), "xavier": around(0.85)})
        assert found.verdict == "reproduced"
        assert [pair.holds for pair in found.pairs] == [True, True]

    def test_is_not_reproduced_if_one_is_above_it(self) -> None:
        found = checked(self.made, {"ghn": around(0.9), "he": around(0.8), "xavier": around(0.95)})
        assert found.verdict == "not reproduced"
        assert found.reason == "`ghn` is below `xavier` on cifar10"

    def test_is_not_reproduced_if_one_is_equivalent(self) -> None:
        values = {"ghn": around(0.9), "he": around(0.8), "xavier": around(0.9)}
        found = checked(self.made, values, margin=0.05)
        assert found.verdict == "not reproduced"
        assert "within the margin of `xavier`" in found.reason

    def test_is_undecided_if_a_difference_is_not_significant(self) -> None:
        values = {"ghn": around(0.9), "he": around(0.8), "xavier": around(0.898)}
        found = checked(self.made, values)
        assert found.verdict == "undecided"
        assert found.reason.startswith("open whether `ghn` is above `xavier` on cifar10 (p ")

    def test_is_undecided_without_an_initialiser_however_the_others_are(self) -> None:
        missing = {"xavier": "`xavier` is left out: initbench-x is not installed"}
        found = checked(self.made, {"ghn": around(0.9), "he": around(0.8)}, missing=missing)
        assert found.verdict == "undecided"
        assert found.reason == missing["xavier"]

    def test_can_be_refuted_while_an_initialiser_is_missing(self) -> None:
        found = checked(self.made, {"ghn": around(0.7), "he": around(0.8)})
        assert found.verdict == "not reproduced"

    def test_is_undecided_with_one_seed(self) -> None:
        values = {name: around(0.5, seeds=1) for name in ("ghn", "he", "xavier")}
        found = checked(self.made, values)
        assert found.verdict == "undecided"
        assert "too few runs" in found.reason

    def test_is_undecided_where_a_target_is_missed(self) -> None:
        values = {"ghn": {0: float("inf"), 1: 3.0}, "he": around(1.0), "xavier": around(1.0)}
        found = checked(self.made, values)
        assert found.verdict == "undecided"
        assert "the target is missed" in found.reason


class TestLowest:
    made = claim("lowest", ["vae", "vqvae"], ["ghn"])

    def test_is_reproduced_if_each_is_below(self) -> None:
        values = {"vae": around(0.1), "vqvae": around(0.12), "ghn": around(0.3)}
        assert checked(self.made, values).verdict == "reproduced"

    def test_is_not_reproduced_if_one_is_above(self) -> None:
        values = {"vae": around(0.1), "vqvae": around(0.4), "ghn": around(0.3)}
        found = checked(self.made, values)
        assert found.verdict == "not reproduced"
        assert found.reason == "`vqvae` is above `ghn` on cifar10"

    def test_is_undecided_if_one_is_like_it(self) -> None:
        values = {"vae": around(0.1), "vqvae": around(0.3), "ghn": around(0.3)}
        assert checked(self.made, values).verdict == "undecided"


class TestGreater:
    made = claim("greater", ["ghn"], ["noise_ghn"])

    @pytest.mark.parametrize(
        ("noise_ghn", "verdict"),
        [(0.8, "reproduced"), (0.95, "not reproduced"), (0.9, "undecided")],
    )
    def test_is_about_the_sign_of_a_significant_difference(
        self, noise_ghn: float, verdict: str
    ) -> None:
        values = {"ghn": around(0.9), "noise_ghn": around(noise_ghn)}
        assert checked(self.made, values).verdict == verdict

    def test_has_to_hold_at_every_severity(self) -> None:
        scenes = [
            scene({"ghn": around(0.9), "noise_ghn": around(other)}) for other in (0.8, 0.8, 0.95)
        ]
        found = check(self.made, scenes, RULES)
        assert found.verdict == "not reproduced"
        assert [pair.holds for pair in found.pairs] == [True, True, False]


class TestEquivalent:
    made = claim("equivalent", ["vae"], ["he", "xavier"])

    def test_is_reproduced_within_the_margin(self) -> None:
        values = {"vae": around(0.9), "he": around(0.901), "xavier": around(0.9)}
        assert checked(self.made, values, margin=0.02).verdict == "reproduced"

    def test_is_not_reproduced_if_a_difference_is_significant_and_not_small(self) -> None:
        values = {"vae": around(0.9), "he": around(0.8), "xavier": around(0.9)}
        found = checked(self.made, values, margin=0.02)
        assert found.verdict == "not reproduced"
        assert found.reason == "`vae` is different from `he` on cifar10"

    def test_is_undecided_if_the_intervals_reach_over_the_margin(self) -> None:
        values = {name: around(0.9) for name in ("vae", "he", "xavier")}
        assert checked(self.made, values, margin=0.002).verdict == "undecided"

    def test_no_difference_is_no_evidence_without_a_margin(self) -> None:
        values = {name: around(0.9) for name in ("vae", "he", "xavier")}
        found = checked(self.made, values)
        assert found.verdict == "undecided"
        assert found.reason == "the suite sets no margin for `test_accuracy`"


class TestOrdering:
    made = claim("ordering", ["pretrained", "orth", "ghn2", "he"], [])

    def values(self, *means: float) -> dict[str, dict[int, float]]:
        return {
            name: around(mean) for name, mean in zip(self.made.initialisers, means, strict=False)
        }

    def test_is_reproduced_if_each_is_above_the_next(self) -> None:
        assert checked(self.made, self.values(0.9, 0.7, 0.6, 0.5)).verdict == "reproduced"

    def test_is_not_reproduced_if_two_have_changed_places(self) -> None:
        found = checked(self.made, self.values(0.9, 0.6, 0.7, 0.5))
        assert found.verdict == "not reproduced"
        assert found.reason == "`orth` is below `ghn2` on cifar10"

    def test_is_undecided_if_two_are_alike_or_one_is_missing(self) -> None:
        assert checked(self.made, self.values(0.9, 0.7, 0.7, 0.5)).verdict == "undecided"
        assert checked(self.made, self.values(0.9, 0.7, 0.6)).verdict == "undecided"


class TestAllRunsBeat:
    made = claim("all_runs_beat", ["ghn"], ["he"])

    def test_is_reproduced_if_the_worst_run_beats_the_best(self) -> None:
        assert checked(self.made, {"ghn": around(0.9), "he": around(0.8)}).verdict == "reproduced"

    def test_lower_is_better_where_the_measure_says_so(self) -> None:
        values = {"ghn": around(0.8), "he": around(0.9)}
        assert checked(self.made, values, direction="lower").verdict == "reproduced"
        assert checked(self.made, values).verdict == "not reproduced"

    def test_one_run_refutes_it(self) -> None:
        ghn = {**around(0.9), 99: 0.8}
        found = checked(self.made, {"ghn": ghn, "he": around(0.8)})
        assert found.verdict == "not reproduced"
        assert found.reason == "`ghn` is not better in every run than `he` on cifar10"

    def test_a_tie_is_no_win(self) -> None:
        values = {"ghn": {0: 0.5, 1: 0.6, 2: 0.7}, "he": {0: 0.5, 1: 0.4, 2: 0.3}}
        assert checked(self.made, values).verdict == "not reproduced"

    def test_two_runs_against_two_say_nothing(self) -> None:
        values = {"ghn": around(0.9, seeds=2), "he": around(0.5, seeds=2)}
        found = checked(self.made, values)
        assert found.verdict == "undecided"
        assert found.pairs[0].p_corrected == pytest.approx(1 / 6)


class TestThreshold:
    made = claim("threshold", ["noise_ghn"], ["he"], side="below", value=0.8, unit="ratio")

    def test_is_reproduced_if_each_is_on_its_side(self) -> None:
        values = {"noise_ghn": around(0.7), "he": around(0.9)}
        found = checked(self.made, values, threshold=0.8)
        assert found.verdict == "reproduced"
        assert [pair.second for pair in found.pairs] == ["0.8", "0.8"]

    def test_is_not_reproduced_if_one_is_on_the_other_side(self) -> None:
        values = {"noise_ghn": around(0.7), "he": around(0.75)}
        found = checked(self.made, values, threshold=0.8)
        assert found.verdict == "not reproduced"
        assert found.reason == "`he` is below 0.8 on cifar10"

    def test_is_undecided_if_the_interval_straddles_it(self) -> None:
        values = {"noise_ghn": around(0.801), "he": around(0.9)}
        assert checked(self.made, values, threshold=0.8).verdict == "undecided"

    def test_the_interval_is_that_of_the_mean_minus_the_threshold(self) -> None:
        pair = checked(self.made, {"noise_ghn": around(0.7)}, threshold=0.8).pairs[0]
        assert pair.difference == pytest.approx(-0.1)
        assert pair.low is not None
        assert pair.low < -0.1 < (pair.high or 0.0)


def test_the_comparisons_of_a_claim_are_one_family() -> None:
    others = [f"other_{i}" for i in range(5)]
    values = {"ghn": around(0.9), **{name: around(0.893) for name in others}}
    made = claim("highest", ["ghn"], others)

    raw = checked(made, values, Rules("welch", "none", 0.95))
    corrected = checked(made, values, Rules("welch", "bonferroni", 0.95))

    assert raw.verdict == "reproduced"
    assert corrected.verdict == "undecided"
    assert corrected.pairs[0].p_corrected == pytest.approx(5 * (raw.pairs[0].p_corrected or 0))


def test_shared_seeds_are_pairs_where_the_suite_says_so() -> None:
    values = {"ghn": around(0.902, spread=3), "he": around(0.9, spread=3.1)}
    made = claim("greater", ["ghn"], ["he"])

    assert checked(made, values, Rules("paired_t", "holm", 0.95)).verdict == "reproduced"
    assert checked(made, values).verdict == "undecided"


def test_broken_pairs_are_not_compared_as_pairs() -> None:
    values = {"ghn": around(0.902, spread=3), "he": around(0.9, spread=3.1)}
    made = claim("greater", ["ghn"], ["he"])
    rules = Rules("paired_t", "holm", 0.95)

    found = checked(made, values, rules, unpaired=lambda first, second: "seed 0 saw other batches")

    assert found.verdict == "undecided"
