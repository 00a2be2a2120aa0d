"""Box plots show quartiles, whiskers and outliers of trials, or of ensembles and pairs."""

from __future__ import annotations

import dataclasses
import math
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initbench.leaderboard import svg
from initbench.leaderboard.box_plot import Box, box_plot, values_shown
from initbench.results import Row
from tests.factories import results

ROW = dataclasses.replace(
    results().rows[1], initialiser="he", values={0: 0.5, 1: 0.6, 2: 0.7}, parts=[]
)


def row(initialiser: str = "he", **fields: object) -> Row:
    return dataclasses.replace(ROW, initialiser=initialiser, **fields)  # type: ignore[arg-type]


def drawn(*rows: Row, reference: str = "default") -> Element:
    plot = box_plot(rows, reference, title="All values", prefix="p")
    assert plot is not None
    return plot


def with_class(plot: Element, name: str) -> list[Element]:
    return [e for e in plot.iter() if name in e.get("class", "").split()]


def test_a_box_is_that_of_the_definition() -> None:
    box = Box.of([1, 2, 3, 4, 5, 6, 7, 8, 9, 30, -9])
    assert (box.first, box.median, box.third) == (2.5, 5.0, 7.5)
    assert (box.low, box.high) == (1, 9)  # 1.5 times the box reaches from -5 to 15
    assert box.others == (-9, 30)


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_every_value_is_in_the_whiskers_or_drawn_by_itself(values: list[float]) -> None:
    box = Box.of(values)
    inside = [x for x in values if box.low <= x <= box.high]
    assert len(inside) + len(box.others) == len(values)
    assert box.median == pytest.approx(float(np.median(values)))
    assert box.low <= box.high
    assert box.low in values
    assert box.high in values


def test_parts_are_shown_in_the_place_of_pseudo_values() -> None:
    assert values_shown(row()) == [0.5, 0.6, 0.7]
    assert values_shown(row(parts=[0.1, 0.2])) == [0.1, 0.2]


def test_each_initialiser_has_a_line_with_its_numbers_in_words() -> None:
    plot = drawn(row("default"), row("he", parts=[0.5, 0.5, 0.5, 0.5, 0.9]))
    assert len(with_class(plot, "box")) == 2
    assert len(with_class(plot, "other")) == 1
    (reference,) = with_class(plot, "reference")
    assert reference.findtext("title") == "default: median 60.00, quartiles [55.00, 65.00] of 3"
    tooltips = [group.findtext("title") for group in with_class(plot, "values")]
    assert tooltips[1] == "he: median 50.00, quartiles [50.00, 50.00] of 5"


def test_misses_are_counted_and_not_drawn() -> None:
    plot = drawn(row(values={0: 3.0, 1: math.inf, 2: 4.0}, unit="steps"))
    (line,) = with_class(plot, "values")
    assert line.findtext("title") == "he: median 4, quartiles [3, 4] of 2, 1 not finite"


def test_an_initialiser_without_values_keeps_its_line_and_a_plot_without_any_is_none() -> None:
    plot = drawn(row("default"), row("he", values={}))
    assert len(with_class(plot, "values")) == 2
    assert len(with_class(plot, "box")) == 1
    assert box_plot([row(values={}), row(values={0: 0.1})], "x", title="t", prefix="p") is None


def test_text_is_escaped() -> None:
    text = svg.markup(drawn(row("<script>alert(1)</script>")))
    assert "<script" not in text
