"""Configurations are checked strictly and completed; changes merge where that makes sense."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from initbench.errors import UserError
from initbench.plugin.configuration import configured, merged
from initbench.plugin.initialiser import Config


class Mode(StrEnum):
    FAN_IN = "fan_in"
    FAN_OUT = "fan_out"


class Settings(Config):
    mode: Mode = Mode.FAN_IN
    gain: float = Field(default=1.0, gt=0)
    sizes: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize(
    "given_config",
    [{"mode": "fan_out", "sizes": [3]}, {"mode": Mode.FAN_OUT, "sizes": (3,)}],
    ids=["as in YAML", "as in Python"],
)
def test_lists_and_strings_do_where_tuples_and_enumerations_are_declared(
    given_config: dict[str, Any],
) -> None:
    checked = configured("initialiser `x`", Settings, given_config)
    assert checked == Settings(mode=Mode.FAN_OUT, sizes=(3,))
    assert checked.model_dump(mode="json") == {"mode": "fan_out", "gain": 1.0, "sizes": [3]}


@pytest.mark.parametrize(
    ("given_config", "message"),
    [
        ({"gian": 2}, "`gian`: unknown key; did you mean `gain`?"),
        ({"gain": "2"}, 'expected a number above 0, got the string "2"; leave out the quotes'),
        ({"gain": True}, "`gain`: expected a number above 0, got `true`"),
        ({"gain": 0}, "`gain`: expected a number above 0, got the number 0"),
        ({"mode": "fan_inn"}, 'got the string "fan_inn"; did you mean `fan_in`?'),
        ({"sizes": [1, 2.5]}, "`sizes[1]`: expected a whole number, got the number 2.5"),
        ({"gain": object()}, "expected numbers, strings, booleans, lists and mappings"),
    ],
)
def test_a_mistake_is_explained(given_config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        configured("initialiser `x`", Settings, given_config)
    assert str(raised.value).startswith("initialiser `x`: ")
    assert message in str(raised.value)


def test_every_mistake_gets_a_line() -> None:
    with pytest.raises(UserError) as raised:
        configured("initialiser `x`", Settings, {"gain": 0, "mode": 1})
    assert len(str(raised.value).splitlines()) == 2


leaves = st.integers(0, 3)
trees = st.recursive(
    st.dictionaries(st.sampled_from("abc"), leaves),
    lambda inner: st.dictionaries(st.sampled_from("abc"), leaves | inner),
    max_leaves=6,
)


def paths(tree: Any, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The obvious form of a tree: each leaf (or empty mapping) under its whole path."""
    if not isinstance(tree, dict) or not tree:
        return {at: tree}
    found = {}
    for key, value in tree.items():
        found |= paths(value, (*at, key))
    return found


@given(trees, trees)
def test_merging_without_names_sets_leaves_one_by_one(base: Any, changes: Any) -> None:
    result = paths(merged(base, changes))
    for path, value in paths(changes).items():
        if path and value != {}:
            assert result[path] == value
    for path, value in paths(base).items():
        is_hidden = any(path[:i] in paths(changes) for i in range(1, len(path) + 1))
        is_parent = any(changed[: len(path)] == path for changed in paths(changes))
        if path and not is_hidden and not is_parent:
            assert result[path] == value


@given(trees)
def test_merging_nothing_changes_nothing(base: Any) -> None:
    assert merged(base, {}) == base
    assert merged(base, base) == base


def test_a_named_part_replaces_the_old_one_whole() -> None:
    base = {"optimiser": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "epochs": 3}
    changes = {"optimiser": {"name": "adam", "lr": 0.01}}
    assert merged(base, changes) == {"optimiser": {"name": "adam", "lr": 0.01}, "epochs": 3}
    assert base["optimiser"]["momentum"] == 0.9
