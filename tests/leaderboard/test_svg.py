"""Scales are right, labels do not collide, and text in plots is always escaped."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from initbench.leaderboard import svg

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=8))
def test_a_span_draws_its_values_inside_and_in_order(values: list[float]) -> None:
    span = svg.Span.around(values, 40, 500)
    drawn = [span.at(value) for value in sorted(values)]
    assert drawn == sorted(drawn)
    assert min(drawn) >= 40 - 1e-6
    assert max(drawn) <= 500 + 1e-6


def test_a_span_ignores_what_is_not_finite() -> None:
    assert svg.Span.around([1.0, math.inf, math.nan, 3.0], 0, 10) == svg.Span(1, 3, 0, 10)


@given(FINITE, st.floats(1e-6, 1e6))
def test_ticks_are_round_evenly_spaced_and_inside(low: float, width: float) -> None:
    assume(width > abs(low) * 1e-9)
    span = svg.Span(low, low + width, 0, 1)
    ticks = span.ticks()
    slack = 1e-6 * width
    assert 2 <= len(ticks) <= 7
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)
    step = ticks[1] - ticks[0]
    assert all(math.isclose(b - a, step, rel_tol=1e-3) for a, b in pairwise(ticks))
    leading = step / 10.0 ** math.floor(math.log10(step * 1.0001))
    assert min(abs(leading - round_number) for round_number in (1, 2, 5, 10)) < 0.01


@given(st.lists(st.floats(0, 300), min_size=1, max_size=16))
def test_labels_keep_order_and_distance(wanted: list[float]) -> None:
    placed = svg.spread(wanted, 0, 300, gap=18)
    in_order = [placed[i] for i in sorted(range(len(wanted)), key=lambda i: wanted[i])]
    assert all(b - a >= 18 - 1e-9 for a, b in pairwise(in_order))
    assert min(placed) >= -1e-9
    assert max(placed) <= 300


def test_labels_with_room_stay_where_they_are() -> None:
    assert svg.spread([10, 250, 100], 0, 300, gap=18) == [10, 250, 100]


@pytest.mark.parametrize(
    "hostile", ['</text><script>alert("1")</script>', "&lt;b&gt;", "\u202e\x00"]
)
def test_text_in_a_plot_is_escaped(hostile: str) -> None:
    plot = svg.plot(100, 50, title=hostile, description=hostile, prefix="p")
    svg.label(plot, 1, 2, hostile, "name")
    svg.group(plot, "series", hostile)
    parsed = ElementTree.fromstring(svg.markup(plot))
    assert [element.tag for element in parsed.iter()] == [
        "svg",
        "title",
        "desc",
        "text",
        "g",
        "title",
    ]
    shown = hostile.replace("\u202e", "\\u202e").replace("\x00", "\\u0000")
    assert [e.text for e in parsed.iter() if e.tag in {"title", "desc", "text"}] == [shown] * 4


def test_a_standalone_file_carries_its_style_and_loads_nothing() -> None:
    plot = svg.plot(100, 50, title="t", description="d", prefix="p")
    text = svg.standalone(plot)
    parsed = ElementTree.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    assert parsed.tag == f"{name}svg"
    assert parsed.findtext(f"{name}style") == svg.style_sheet()
    assert "prefers-color-scheme: dark" in text
    assert "href" not in text
    assert "url(" not in text
    assert "@import" not in text
