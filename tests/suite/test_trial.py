"""A trial's key depends on everything that can change its numbers, and on nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.store.identity import differences, digest
from initbench.suite.trial import Code, DataReference, Fitting, Reference, Trial


def a_trial(**changes: Any) -> Trial:
    fields: dict[str, Any] = {
        "initialiser": Reference("he", {"mode": "fan_in", "gain": "auto"}, Code("initbench", "1")),
        "model": Reference("zoo_cnn", {"activation": "tanh"}, Code("initbench", "1")),
        "data": DataReference(Reference("digits", {}, Code("initbench", "1")), 28, "f" * 64),
        "recipe": {"epochs": 3, "optimiser": {"name": "sgd", "lr": 0.1}},
        "seed": 0,
        "artifact": None,
    }
    return Trial(**{**fields, **changes})


def test_a_trial_comes_back_from_its_identity() -> None:
    trial = a_trial(artifact="a" * 64)
    assert Trial.of(trial.identity) == trial
    assert Trial.of(trial.identity).key == trial.key


def test_code_without_a_version_is_known_by_its_digest() -> None:
    one = a_trial(model=Reference("net", {}, Code("third", digest="1" * 64)))
    other = a_trial(model=Reference("net", {}, Code("third", digest="2" * 64)))
    assert one.key != other.key
    assert Trial.of(one.identity) == one


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(tree, dict):
        return [leaf for name, value in tree.items() for leaf in leaves(value, (*path, name))]
    return [path]


@given(st.sampled_from(leaves(a_trial().identity)))
def test_any_changed_leaf_changes_the_key_and_only_that_leaf_is_reported(
    path: tuple[Any, ...],
) -> None:
    trial = a_trial()
    changed = copy.deepcopy(trial.identity)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "something else"
    (found,) = differences(trial.identity, changed)
    assert found.path == ".".join(path)
    assert digest(changed) != trial.key


def test_the_key_of_a_golden_trial_has_not_moved() -> None:
    """If this fails, every stored record is orphaned: bump PROTOCOL_VERSION and say why."""
    assert a_trial().key == "5d0ddd062bd64d95cbc7429ea6d8704bdf9c553a9bfefa3885326b869a0a81cd"


@pytest.mark.parametrize("sources", [[], [{"kind": "zoo", "trials": ["a", "b"]}]])
def test_a_fitting_comes_back_from_its_identity(sources: list[dict[str, Any]]) -> None:
    trial = a_trial()
    fitting = Fitting(trial.initialiser, trial.model, trial.data, trial.recipe, sources)
    assert Fitting.of(fitting.identity).key == fitting.key
    assert fitting.zoo_trials == [k for source in sources for k in source["trials"]]
