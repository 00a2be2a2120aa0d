"""Measures of ensembles: what their labels say, and what a cell is worth."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

import pytest

from initbench.errors import UserError
from initbench.measures.ensemble import EnsembleMeasure
from initbench.measures.measure import PopulationValue
from initbench.plugin.registry import Registry
from initbench.probes.ensembles import Ensembles
from initbench.probes.probe import Observation
from tests.factories import record
from tests.probes.looking import Population, Subject
from tests.training.networks import data, network

NAMES = ("accuracy", "brier", "ece", "nll")
RECORDS = {seed: record(seed=seed) for seed in range(5)}


def measure(name: str, **config: Any) -> EnsembleMeasure[Any]:
    found = Registry.installed().measure(name, config).thing
    assert isinstance(found, EnsembleMeasure)
    return found


def seen(*without: int, parts: bool = False, **settings: Any) -> Observation:
    subjects = [
        Subject({} if seed in without else {"best": network(seed)}, seed=seed) for seed in range(5)
    ]
    named = {"fog": slice(0, 8), "snow": slice(8, 20)} if parts else {}
    return Ensembles(**{"size": 2, "count": 4, **settings}).observe(
        Population(subjects, data(), parts=named)
    )


def value(name: str, observation: Observation, **config: Any) -> PopulationValue:
    found = measure(name, **config).of_cell(observation, RECORDS)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "config", "label"),
    [
        ("ensemble_ece", {}, "ensemble_ece"),
        ("ensemble_ece", {"on": "cifar10c"}, "ensemble_ece.cifar10c"),
        ("ensemble_ece", {"on": {"name": "cifar10c", "severity": 3}}, "ensemble_ece.cifar10c-3"),
        (
            "ensemble_nll",
            {"on": {"name": "cifar10c", "severity": 3, "corruptions": ["fog", "snow"]}},
            "ensemble_nll.cifar10c-3-fog+snow",
        ),
        (
            "ensemble_accuracy",
            {"on": {"name": "cifar10c", "severity": 3}, "part": "fog", "size": 10},
            "ensemble_accuracy.cifar10c-3.fog.size=10",
        ),
        ("ensemble_ece", {"confidence": "true_label"}, "ensemble_ece.true_label"),
        ("ensemble_gain", {"score": "nll", "fidelity": "code"}, "ensemble_gain.nll.fidelity=code"),
        ("ensemble_gain", {}, "ensemble_gain.accuracy"),
        ("ensemble_brier", {"combine": "probabilities"}, "ensemble_brier.combine=probabilities"),
        ("ensemble_brier", {"checkpoint": "last"}, "ensemble_brier.checkpoint=last"),
    ],
)
def test_a_label_says_what_differs(name: str, config: dict[str, Any], label: str) -> None:
    assert measure(name, **config).label() == label


@pytest.mark.parametrize(
    "config",
    [
        {"on": {"severity": 3}},
        {"on": 3},
        {"size": 0},
        {"combine": "votes"},
        {"fidelity": "maybe"},
        {"severity": [1, 2]},
        {"checkpoint": "initial"},
    ],
)
def test_a_wrong_setting_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        measure("ensemble_ece", **config)


def test_what_the_released_code_does_is_asked_for_by_one_word() -> None:
    assert measure("ensemble_ece", fidelity="code").probe().replacement
    assert not measure("ensemble_ece").probe().replacement


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_is_worth_the_mean_of_the_ensembles_shown(name: str) -> None:
    found = value(f"ensemble_{name}", seen())
    assert len(found.parts) == 4
    assert found.value == pytest.approx(fmean(found.parts))
    assert list(found.pseudo_values) == list(RECORDS)
    assert fmean(found.pseudo_values.values()) == pytest.approx(found.value)
    assert len({*found.pseudo_values.values()}) > 1


def test_a_part_has_a_value_of_its_own() -> None:
    whole, fog, snow = (
        value("ensemble_accuracy", seen(parts=True), part=part).value
        for part in (None, "fog", "snow")
    )
    assert fog != snow
    assert (8 * fog + 12 * snow) / 20 == pytest.approx(whole)


@pytest.mark.parametrize(
    ("score", "sign"), [("accuracy", 1), ("ece", -1), ("nll", -1), ("brier", -1)]
)
def test_the_gain_is_against_the_mean_member_of_each_ensemble(score: str, sign: int) -> None:
    pairs, alone = seen(), seen(size=1, count=5)
    of_ensembles = value(f"ensemble_{score}", pairs).parts
    # An ensemble of one is its member.
    members = [member for (member,) in alone.tensors["sets"].tolist()]
    own = dict(zip(members, value(f"ensemble_{score}", alone).parts, strict=True))
    gains = value("ensemble_gain", pairs, score=score).parts
    sets = pairs.tensors["sets"].tolist()[:4]
    assert gains == pytest.approx(
        [
            sign * (together - fmean(own[member] for member in ensemble))
            for together, ensemble in zip(of_ensembles, sets, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("name", "worst"),
    [("accuracy", 1 / 3), ("ece", 1.0), ("nll", math.log(3)), ("brier", 2 / 3)],
)
def test_an_ensemble_with_a_trial_that_failed_has_the_worst_value(name: str, worst: float) -> None:
    observation = seen(2, count=10)
    found = value(f"ensemble_{name}", observation)
    sets = observation.tensors["sets"].tolist()
    with_it = [x for x, members in zip(found.parts, sets, strict=True) if 2 in members]
    assert with_it == pytest.approx([worst] * 4)
    assert found.pseudo_values.keys() == RECORDS.keys()


def test_too_few_trials_have_no_value_and_a_note_says_why() -> None:
    ensembles = measure("ensemble_ece", size=6)
    assert ensembles.of_cell(seen(size=6), RECORDS) is None
    records = list(RECORDS.values())
    assert ensembles.note(records) == "ensembles of 6 need as many trials, not 5"
    everyone = measure("ensemble_ece", size=5)
    assert everyone.note(records) == "each trial is in every ensemble: no interval"
    assert value("ensemble_ece", seen(size=5)).pseudo_values == {}
    assert measure("ensemble_ece", size=4).note(records) == ""
