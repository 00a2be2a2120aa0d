from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from initbench.suite.schema import Choice, Suite, label_of

CONFIGS = st.dictionaries(
    st.sampled_from(["mode", "gain", "bias", "std"]),
    st.booleans() | st.integers(0, 9) | st.sampled_from(["fan_in", "fan_out", "1", "true"]),
    max_size=3,
)


def choice(name: str, **config: Any) -> Choice:
    return Choice.model_validate({"name": name, **config})


@pytest.mark.parametrize(
    ("chosen", "label"),
    [
        (choice("he"), "he"),
        (choice("he", label="Kaiming"), "Kaiming"),
        (choice("he", label="Kaiming", mode="fan_out"), "Kaiming"),
        (choice("he", mode="fan_out"), "he(mode=fan_out)"),
        (choice("he", mode="fan_out", gain=1.5), "he(gain=1.5, mode=fan_out)"),
        (
            choice("x", flag=True, none=None, list=[1, "a"]),
            'x(flag=true, list=[1, "a"], none=null)',
        ),
    ],
)
def test_labels_name_what_makes_a_variant(chosen: Choice, label: str) -> None:
    assert label_of(chosen) == label


@given(CONFIGS, CONFIGS)
def test_variants_that_differ_visibly_have_labels_that_differ(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    def visible(config: dict[str, Any]) -> dict[str, str]:
        # `true` and "true" look alike; so do 1 and "1".
        return {key: str(value).replace("True", "true") for key, value in config.items()}

    same = {k: v.replace("False", "false") for k, v in visible(one).items()} == {
        k: v.replace("False", "false") for k, v in visible(other).items()
    }
    assert (label_of(choice("he", **one)) == label_of(choice("he", **other))) == same


def test_labels_do_not_depend_on_the_order_of_keys() -> None:
    assert label_of(choice("he", a=1, b=2)) == label_of(choice("he", b=2, a=1))


def test_a_name_alone_is_a_choice() -> None:
    assert Choice.model_validate("he") == choice("he")


@pytest.mark.parametrize("name", ["", "-he", "he!", "../he", "he he", "he\n", "x" * 101])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValidationError):
        choice(name)


def test_suites_are_immutable() -> None:
    assert Suite.model_config["frozen"]
    with pytest.raises(ValidationError):
        choice("he").name = "she"  # type: ignore[misc]
