"""Keys stand for exactly what they are made of, and two keys can be compared leaf by leaf."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.store.identity import MISSING, Difference, canonical, differences, digest

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
names = st.text(st.characters(codec="utf-8", exclude_characters=".[]"), min_size=1, max_size=6)
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(names, below, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, trees, max_size=5)


def test_the_canonical_form_is_fixed_for_ever() -> None:
    tree = {"b": [1, 1.0, True, None, -0.0, 1e-7, 1e22], "a": {"ä": "é\n\u2028数🎲"}}
    expected = '{"a":{"ä":"é\\n\u2028数🎲"},"b":[1,1.0,true,null,-0.0,1e-07,1e+22]}'
    assert canonical(tree).decode() == expected
    assert digest(tree) == hashlib.sha256(expected.encode()).hexdigest()
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(objects)
def test_the_canonical_form_reads_back_as_the_same_tree(tree: Any) -> None:
    assert list(differences(json.loads(canonical(tree)), tree)) == []
    assert canonical(json.loads(canonical(tree))) == canonical(tree)


@given(objects, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(tree: Any, chance: Any) -> None:
    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            items = list(node.items())
            chance.shuffle(items)
            return {name: shuffled(value) for name, value in items}
        return [shuffled(value) for value in node] if isinstance(node, list) else node

    assert digest(shuffled(tree)) == digest(tree)


@given(trees, trees)
def test_trees_differ_exactly_when_their_keys_do(left: Any, right: Any) -> None:
    assert (digest(left) == digest(right)) == (not list(differences(left, right)))
    assert list(differences(left, copy.deepcopy(left))) == []


def leaves(tree: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Path, container and position of every leaf; an empty container is one, too."""
    found: list[tuple[str, Any, Any]] = []
    for position, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(tree, list):
            inner = f"{path}[{position}]"
        else:
            inner = f"{path}.{position}" if path else str(position)
        if isinstance(value, dict | list) and value:
            found += leaves(value, inner)
        else:
            found.append((inner, tree, position))
    return found


@given(objects.filter(bool), scalars, st.data())
def test_one_changed_leaf_is_the_one_that_is_reported(tree: Any, value: Any, data: Any) -> None:
    other = copy.deepcopy(tree)
    path, container, position = data.draw(st.sampled_from(leaves(other)))
    before = container[position]
    container[position] = value
    found = list(differences(tree, other))
    if canonical(before) == canonical(value):
        assert found == []
    else:
        assert [(d.path, canonical(d.left), canonical(d.right)) for d in found] == [
            (path, canonical(before), canonical(value))
        ]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, [Difference("a", 1, 1.0)]),
        ({"a": 1}, {"a": True}, [Difference("a", 1, True)]),
        ({"a": 0.0}, {"a": -0.0}, [Difference("a", 0.0, -0.0)]),
        ({"a": {}}, {"a": []}, [Difference("a", {}, [])]),
        ({"a": None}, {}, [Difference("a", None, MISSING)]),
        ({}, {"a": MISSING}, [Difference("a", MISSING, MISSING)]),
        ({"a": [1, 2]}, {"a": [1]}, [Difference("a", [1, 2], [1])]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, [Difference("a[1].b", 2, 3)]),
        (
            {"é": 1},
            {"e\u0301": 1},
            [Difference("e\u0301", MISSING, 1), Difference("é", 1, MISSING)],
        ),
        (1, 2, [Difference("(root)", 1, 2)]),
    ],
)
def test_differences_that_look_like_none(left: Any, right: Any, expected: list[Difference]) -> None:
    assert list(differences(left, right)) == expected
    assert digest(left) != digest(right)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": (1, 2)}, r"`\.a` is a tuple"),
        ({"a": [0, {1: 2}]}, r"`\.a\[1\]` has the key 1"),
        ({"a": [b"x"]}, r"`\.a\[0\]` is a bytes"),
        ({"a": {1, 2}}, r"`\.a` is a set"),
    ],
)
def test_what_json_would_change_silently_is_refused(tree: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        canonical(tree)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "\ud800"])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        canonical({"a": [value]})
