from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.suite.paths import (
    format_path,
    join_labels,
    leading_path,
    parse_path,
    split_labels,
)

LABELS = st.from_regex(r"[A-Za-z0-9_.,/@=-]([A-Za-z0-9_.,/@= -]{0,8}[a-z])?", fullmatch=True)
IN_PARENTHESES = st.builds(lambda name, inner: f"{name}({inner})", LABELS, LABELS)
STEPS = LABELS | IN_PARENTHESES | st.integers(0, 99)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("seeds", ("seeds",)),
        ("recipe.optimiser.lr", ("recipe", "optimiser", "lr")),
        ("initialisers[12].mode", ("initialisers", 12, "mode")),
        ("initialisers.he.mode", ("initialisers", "he", "mode")),
        ("initialisers.he(mode=fan_out, gain=1.5).mode",
         ("initialisers", "he(mode=fan_out, gain=1.5)", "mode")),
        ('initialisers."He 1.5".mode', ("initialisers", "He 1.5", "mode")),
        ('comparisons.margins."steps_to_0.9"', ("comparisons", "margins", "steps_to_0.9")),
        ("recipe.schedule.milestones[0]", ("recipe", "schedule", "milestones", 0)),
    ],
)  # fmt: skip
def test_paths_as_people_write_them(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path
    assert leading_path(text) == text
    assert leading_path(f"{text}=a.b=c") == text


@given(LABELS | IN_PARENTHESES, st.lists(STEPS, max_size=4))
def test_a_formatted_path_reads_as_it_was(first: str, rest: list[str | int]) -> None:
    path = (first, *rest)
    assert parse_path(format_path(path)) == path
    assert leading_path(format_path(path) + "=1") == format_path(path)


@pytest.mark.parametrize("text", ["", "=3", "[0]=3", ".a=3", "(=3"])
def test_what_is_no_path_has_no_beginning_that_is_one(text: str) -> None:
    assert leading_path(text) == ""


@given(st.lists(LABELS | IN_PARENTHESES, min_size=1, max_size=4))
def test_joined_labels_are_split_as_they_were(labels: list[str]) -> None:
    assert split_labels(join_labels(labels)) == labels
