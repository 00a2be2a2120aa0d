"""Numbers as people read them: the one owner, for terminal and page alike.

Numbers come without their unit, which belongs in the heading of a column (`unit_of_values`,
`unit_of_differences`). What is not defined is an en dash, an infinite value `∞`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from initbench.results import Aggregate, Aggregates, Verdict

UNDEFINED = "–"
DECIMALS = {"steps": 0, "images": 0, "epochs": 1, "evaluations": 1}
"""Decimals by unit; every other unit gets as many as its size asks for."""
_DECIMALS_BY_SIZE = ((0.001, 6), (10, 4), (1000, 2), (math.inf, 0))


class Mark(NamedTuple):
    """A verdict as a sign and a word, so that it never depends on colour."""

    sign: str
    word: str

    def __str__(self) -> str:
        return f"{self.sign} {self.word}"


_TESTS = {
    "paired_t": "paired t-test on shared seeds",
    "welch": "Welch's t-test",
    "student_t": "Student's t-test",
}

_MARKS: dict[Verdict, Mark] = {
    "better": Mark("▲", "better"),
    "worse": Mark("▼", "worse"),
    "equivalent": Mark("●", "equivalent"),
    "undecided": Mark("○", "undecided"),
}


def value(x: float | None, unit: str) -> str:
    """Return a value of a measure; fractions are shown in percent.

    >>> value(0.97123, "fraction"), value(12345.6, "steps"), value(None, "fraction")
    ('97.12', '12,346', '–')
    """
    return _number(x, unit, signed=False)


def difference(x: float | None, unit: str) -> str:
    """Return a difference with its sign; differences of fractions are in percentage points.

    >>> difference(-0.0042, "fraction"), difference(0.0, "fraction")
    ('−0.42', '0.00')
    """
    return _number(x, unit, signed=True)


def interval(low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """Return an interval, its ends formatted as values or, if `signed`, as differences.

    >>> interval(0.961, 0.9702, "fraction")
    '[96.10, 97.02]'
    """
    if low is None or high is None:
        return UNDEFINED
    return f"[{_number(low, unit, signed)}, {_number(high, unit, signed)}]"


def unit_of_values(unit: str) -> str:
    """Return the unit in which `value` shows a measure: `%` for fractions."""
    return "%" if unit == "fraction" else unit


def unit_of_differences(unit: str) -> str:
    """Return the unit in which `difference` shows a measure: `points` for fractions."""
    return "points" if unit == "fraction" else unit


def p_value(p: float | None) -> str:
    """Return a p-value with three decimals, `<0.001` where it is smaller.

    >>> p_value(0.0312), p_value(3e-9), p_value(None)
    ('0.031', '<0.001', '–')
    """
    if p is None or math.isnan(p):
        return UNDEFINED
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def effect(g: float | None) -> str:
    """Return an effect size in standard deviations, with its sign.

    >>> effect(1.234), effect(float("-inf"))
    ('+1.23', '−∞')
    """
    return _fixed(g, 2, signed=True)


def verdict_mark(verdict: Verdict) -> Mark:
    """Return the sign and the word for a verdict.

    >>> str(verdict_mark("better"))
    '▲ better'
    """
    return _MARKS[verdict]


def name_of_test(test: str) -> str:
    """Return what a primary test is called.

    >>> name_of_test("welch")
    "Welch's t-test"
    """
    return _TESTS.get(test, test)


def over_test_images(found: Mapping[str, Any] | None) -> str:
    """Say what the finite test set leaves open of a difference in accuracy; empty for None.

    >>> over_test_images(dict(images=360, difference=0.012, low=0.001, high=0.023, mcnemar_p=None))
    'over 360 test images, for these very networks: +1.20 [+0.10, +2.30] points'
    """
    if found is None:
        return ""
    number = difference(found["difference"], "fraction")
    ends = interval(found["low"], found["high"], "fraction", signed=True)
    shown = "" if ends == UNDEFINED else f" {ends}"
    p = found["mcnemar_p"]
    tested = "" if p is None else f", p of McNemar's test {p_value(p)}"
    where = f"over {found['images']:,} test images, for these very networks"
    return f"{where}: {number}{shown} points{tested}"


def more_seeds(count: int | None) -> str:
    """Say how many seeds more would decide a comparison; empty where that is not known.

    >>> more_seeds(12)
    'about 12 seeds more'
    """
    if count is None:
        return ""
    return f"about {count:,} seed{'' if count == 1 else 's'} more"


def over_blocks(line: Aggregate) -> list[tuple[str, str]]:
    """Return what is said of an initialiser over all blocks, each as a number and its interval.

    Mean and interquartile mean of the differences in deviations, and probability of improvement in
    percent. What is not defined is a dash, an interval that is not is empty.
    """
    deviations = [
        (line.difference, line.low, line.high),
        (line.interquartile_mean, line.interquartile_low, line.interquartile_high),
    ]
    won = (line.improvement, line.improvement_low, line.improvement_high)
    texts = [[effect(x) for x in three] for three in deviations]
    texts.append([value(x, "fraction") for x in won])
    return [(x, "" if UNDEFINED in ends else f"[{ends[0]}, {ends[1]}]") for x, *ends in texts]


def critical_difference(found: Aggregates) -> str:
    """Say from which difference on mean ranks differ; empty where there are too few blocks."""
    if found.critical_difference is None:
        return ""
    return (
        f"mean ranks: critical difference {found.critical_difference:.2f} (Nemenyi), "
        f"p of Friedman's test {p_value(found.friedman_p)}"
    )


def seconds(s: float | None) -> str:
    """Return a duration in the two largest units that matter.

    >>> seconds(0.0421), seconds(12.34), seconds(245), seconds(7380)
    ('0.042 s', '12.3 s', '4 min 05 s', '2 h 03 min')
    """
    if s is None or not math.isfinite(s):
        return _fixed(s, 0)
    if s < 59.95:
        return f"{s:.3f} s" if s < 0.1 else f"{s:.1f} s"
    minutes, rest = divmod(round(s), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(s / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(s / 3600), 24)
    return f"{days} d {hours} h"


def energy(joules: float | None) -> str:
    """Return an energy with the prefix that fits its size.

    >>> energy(74.2), energy(12_345.6), energy(None)
    ('74.2 J', '12.3 kJ', '–')
    """
    if joules is None or not math.isfinite(joules):
        return _fixed(joules, 0)
    size, prefixes = joules, ["", "k", "M", "G"]
    while abs(size) >= 999.95 and len(prefixes) > 1:
        size /= 1000
        prefixes.pop(0)
    return f"{size:.1f} {prefixes[0]}J"


def byte_size(count: int | None) -> str:
    """Return a size in bytes with decimal prefixes.

    >>> byte_size(640), byte_size(1_234_567)
    ('640 B', '1.2 MB')
    """
    if count is None:
        return UNDEFINED
    size, prefixes = float(count), ["", "k", "M", "G", "T"]
    while abs(size) >= 999.95 and len(prefixes) > 1:
        size /= 1000
        prefixes.pop(0)
    return f"{size:.0f} B" if prefixes[0] == "" else f"{size:.1f} {prefixes[0]}B"


def share(x: float) -> str:
    """Return a share in whole percent; what is neither nothing nor all never looks so.

    >>> share(0.9999), share(0.25), share(0.001)
    ('>99 %', '25 %', '<1 %')
    """
    x = round(x, 9)  # a mean of ones may be off by a rounding error
    if 0 < x < 0.01:
        return "<1 %"
    if 0.99 < x < 1:
        return ">99 %"
    return f"{100 * x:.0f} %"


def _number(x: float | None, unit: str, signed: bool) -> str:
    if x is None or not math.isfinite(x):
        return _fixed(x, 0, signed)
    if unit == "fraction":
        return _fixed(100 * x, 2, signed)
    if unit in DECIMALS:
        return _fixed(x, DECIMALS[unit], signed)
    if 0 < abs(x) < 1e-6:
        return _sign(x, f"{abs(x):.2e}", signed)
    decimals = next(d for limit, d in _DECIMALS_BY_SIZE if abs(x) < limit) if x else 4
    return _fixed(x, decimals, signed)


def _fixed(x: float | None, decimals: int, signed: bool = False) -> str:
    if x is None or math.isnan(x):
        return UNDEFINED
    if math.isinf(x):
        return _sign(x, "∞", signed)
    digits = f"{abs(x):,.{decimals}f}"
    shown_as_zero = not any(digit in digits for digit in "123456789")
    return digits if shown_as_zero else _sign(x, digits, signed)


def _sign(x: float, digits: str, signed: bool) -> str:
    if x < 0:
        return f"−{digits}"
    return f"+{digits}" if signed else digits
