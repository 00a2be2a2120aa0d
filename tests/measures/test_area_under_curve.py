from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.measures.area_under_curve import AreaUnderCurve
from initbench.plugin.initialiser import Config
from initbench.store.record import Curve, TrialStatus
from tests.factories import record
from tests.measures.test_curve import curve

MEASURE = AreaUnderCurve(Config())


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=8))
def test_it_is_the_integral_of_the_straight_lines_between_evaluations(
    points: list[tuple[int, float]],
) -> None:
    steps = [0, *(int(x) for x in np.cumsum([gap for gap, _ in points]))]
    values = [0.1, *(value for _, value in points)]
    bent = Curve(steps=steps, epochs=[float(x) for x in steps], values=list(values))
    found = MEASURE.of_record(record(curves={"validation_accuracy": bent}))
    fine = np.interp(np.arange(steps[-1]) + 0.5, steps, values)  # midpoints: exact for lines
    assert found == pytest.approx(fine.mean())
    assert min(values) <= found + 1e-12
    assert found - 1e-12 <= max(values)


def test_a_constant_curve_is_its_own_mean() -> None:
    assert MEASURE.of_record(record(curves=curve(0.5, 0.5, 0.5))) == 0.5


def test_rules_2_and_5_failures_and_gaps_are_at_chance() -> None:
    assert MEASURE.worst(record(status=TrialStatus.DIVERGED, classes=10)) == 0.1
    with_gap = record(curves=curve(0.1, None, 0.3))
    assert MEASURE.of_record(with_gap) == pytest.approx((0.1 + 0.2) / 2)
