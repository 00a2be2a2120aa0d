"""Survival plots show when trials reach their target, and that some do not."""

from __future__ import annotations

import dataclasses
import math
from xml.etree.ElementTree import Element

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from initbench.leaderboard.survival_plot import steps, survival_plot
from initbench.results import Row
from tests.factories import results

ROW = next(row for row in results().rows if row.unit == "steps")


def row(initialiser: str, *values: float, limit: float | None = 100.0) -> Row:
    by_seed = dict(enumerate(values))
    return dataclasses.replace(ROW, initialiser=initialiser, values=by_seed, limit=limit)


def drawn(*rows: Row, **ps: float) -> Element | None:
    return survival_plot(rows, "default", ps=ps, title="Who got there", prefix="p")


hits = st.lists(st.one_of(st.integers(0, 100), st.just(math.inf)), min_size=1, max_size=12)


@settings(derandomize=True, max_examples=60)
@given(hits)
def test_the_line_is_one_minus_the_estimate_of_kaplan_and_meier(values: list[float]) -> None:
    line = steps(row("he", *values), 100.0)
    censored = stats.CensoredData(
        uncensored=[x for x in values if math.isfinite(x)],
        right=[100.5 for x in values if math.isinf(x)],
    )
    reached = stats.ecdf(censored).cdf
    for at in range(101):
        share = max(share for step, share in line if step <= at)
        assert math.isclose(share, float(reached.evaluate(at)), abs_tol=1e-9)
    assert line == sorted(line)
    assert line[-1][0] == 100.0


def test_every_initialiser_has_a_line_that_says_what_it_shows() -> None:
    plot = drawn(row("default", 20, math.inf), row("he", 10, 40), he=0.03)
    assert plot is not None
    said = [title.text for title in plot.iter("title")][1:]
    assert said[0] is not None
    assert said[0].startswith("default: 1 of 2 reached it")
    assert said[1] is not None
    assert said[1].startswith("he: 2 of 2 reached it")
    assert said[1].endswith("p of the log-rank test 0.030")


def test_who_never_got_there_has_a_line_along_the_ground() -> None:
    assert steps(row("he", math.inf, math.inf), 100.0) == [(0.0, 0.0), (100.0, 0.0)]


def test_without_a_target_or_a_hit_there_is_no_plot() -> None:
    assert drawn(row("default", 1, 2, limit=None)) is None
    assert drawn(row("default", math.inf), row("he", math.inf)) is None
    assert drawn() is None


def test_a_row_without_trials_is_left_out() -> None:
    plot = drawn(row("default", 1), row("he"))
    assert plot is not None
    assert [e.get("class", "") for e in plot.iter("g")] == ["series reference"]
