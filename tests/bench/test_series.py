"""Sides take turns, and are compared pair by pair."""

from __future__ import annotations

import pytest

from initbench.bench.figure import Figure
from initbench.bench.series import Speedup, alternate, speedups


def test_sides_take_turns_after_one_run_before_the_clock() -> None:
    calls: list[str] = []
    sides = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = alternate(sides, 3)
    assert calls == ["a", "b"] * 4
    assert {side: len(times) for side, times in seconds.items()} == {"a": 3, "b": 3}
    assert all(time > 0 for times in seconds.values() for time in times)


def test_the_first_side_is_compared_with_each_other_one_of_its_task() -> None:
    figures = [
        Figure("one", "ours", (1.0, 2.0, 1.0), 100, "images"),
        Figure("one", "theirs", (10.0, 10.0, 30.0), 100, "images"),
        Figure("one", "half as much", (1.0, 2.0, 1.0), 50, "images"),
        Figure("two", "ours", (1.0,), 100, "images"),
    ]
    assert speedups(figures) == [
        Speedup("one", "ours", "theirs", median=10.0, lowest=5.0, highest=30.0),
        Speedup("one", "ours", "half as much", median=2.0, lowest=2.0, highest=2.0),
    ]


def test_the_rate_is_that_of_the_median_repetition() -> None:
    assert Figure("x", "y", (2.0, 4.0, 100.0), 8, "images").rate == pytest.approx(2.0)
