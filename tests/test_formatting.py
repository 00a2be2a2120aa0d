"""Numbers are shown as people read them, and never as something else than they are."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench import formatting
from tests.factories import verdicts

UNITS = st.sampled_from(["fraction", "steps", "epochs", "nats", ""])
FINITE = st.floats(-1e9, 1e9, allow_nan=False)


def read(text: str) -> float:
    """Read a number back as a person would."""
    return float(text.replace("−", "-").replace(",", "").replace("∞", "inf"))


def test_examples() -> None:
    outcome = doctest.testmod(formatting)
    assert outcome.attempted
    assert not outcome.failed


@given(FINITE, UNITS)
def test_a_value_reads_as_itself_to_the_digits_shown(x: float, unit: str) -> None:
    shown = read(formatting.value(x, unit))
    exact = 100 * x if unit == "fraction" else x
    allowed = {"fraction": 0.005, "steps": 0.5, "epochs": 0.05}.get(unit, 0.0005 * abs(x) + 5e-7)
    assert shown == pytest.approx(exact, abs=allowed * 1.0001, rel=1e-9)


@given(FINITE, UNITS)
def test_a_difference_has_a_sign_unless_it_is_shown_as_zero(x: float, unit: str) -> None:
    shown = formatting.difference(x, unit)
    assert (shown[0] in "+−") == (read(shown) != 0)
    assert shown.lstrip("+−") == formatting.value(abs(x), unit)


@pytest.mark.parametrize("unit", ["fraction", "steps", "nats"])
@pytest.mark.parametrize(
    ("x", "value", "difference"),
    [
        (None, "–", "–"),
        (math.nan, "–", "–"),
        (math.inf, "∞", "+∞"),
        (-math.inf, "−∞", "−∞"),
    ],
)
def test_what_is_no_number_is_not_shown_as_one(
    unit: str, x: float | None, value: str, difference: str
) -> None:
    assert formatting.value(x, unit) == value
    assert formatting.difference(x, unit) == difference


@pytest.mark.parametrize("x", [-0.0, -1e-9, 0.0, 1e-9])
def test_zero_has_no_sign(x: float) -> None:
    assert formatting.difference(x, "fraction") == "0.00"


def test_an_interval_needs_both_ends() -> None:
    assert formatting.interval(None, 0.5, "fraction") == "–"
    assert formatting.interval(0.5, None, "fraction") == "–"
    assert formatting.interval(-0.011, 0.02, "fraction", signed=True) == "[−1.10, +2.00]"
    assert formatting.interval(10.2, math.inf, "steps") == "[10, ∞]"


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.0, "<0.001"), (0.00099, "<0.001"), (0.001, "0.001"), (1.0, "1.000"), (math.nan, "–")],
)
def test_p_values(p: float, shown: str) -> None:
    assert formatting.p_value(p) == shown


def test_verdicts_differ_in_sign_and_in_word() -> None:
    marks = [formatting.verdict_mark(verdict) for verdict in verdicts()]
    assert len({mark.sign for mark in marks}) == len({mark.word for mark in marks}) == 4


def test_seeds_to_come() -> None:
    assert formatting.more_seeds(None) == ""
    assert formatting.more_seeds(1) == "about 1 seed more"
    assert formatting.more_seeds(1200) == "about 1,200 seeds more"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0, "0.000 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (48 * 3600, "2 d 0 h"),
        (math.inf, "∞"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert formatting.seconds(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, "–"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (4 * 10**15, "4000.0 TB")],
)
def test_sizes(count: int | None, shown: str) -> None:
    assert formatting.byte_size(count) == shown


@given(st.floats(0, 1))
def test_a_share_is_all_or_nothing_only_if_it_is(x: float) -> None:
    shown = formatting.share(x)
    assert (shown == "0 %") == (x < 5e-10)
    assert (shown == "100 %") == (x > 1 - 5e-10)
