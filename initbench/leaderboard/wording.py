"""Wording: results as the text of a board, numbers with their units, notes said once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

from markupsafe import Markup

from initbench import formatting
from initbench.leaderboard import svg
from initbench.leaderboard.panels import some_of
from initbench.leaderboard.parts import Cell, Compared
from initbench.results import Comparison, CurveBand, LayerHistograms, Row, Verdict
from initbench.statistics.ranks import RankInterval

_VERDICTS: tuple[Verdict, ...] = ("better", "worse", "equivalent", "undecided")


def other_tests(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what other tests say of a comparison, as names and values."""
    tests = dict(comparison.sensitivity)
    on_images = formatting.over_test_images(tests.pop("test_images", None))
    return flat(tests) + ([("finite test set", on_images)] if on_images else [])


def flat(tree: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Write a tree of numbers as names and values; what is not defined is left out.

    >>> flat({"welch_p": 0.0312, "without_failures": {"n": 9, "p": None}})
    [('welch p', '0.0312'), ('without failures: n', '9')]
    """
    lines: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{path}{name}: ")
        elif value is not None:
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            lines.append((f"{path}{name}".replace("_", " "), shown))
    return lines


def rank(rank: RankInterval | None) -> Cell:
    """Write a rank interval; a sign where there is none."""
    if rank is None:
        return Cell(formatting.UNDEFINED)
    return Cell(str(rank), rank.best + rank.worst / 1e6)


def spread(row: Row) -> str:
    """Write the interval of a mean, or the median where there is no mean."""
    if row.mean is None and row.median is not None:
        return f"median {formatting.value(row.median, row.unit)}"
    return interval(row.low, row.high, row.unit)


def interval(low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """Write an interval; nothing where it is not defined, since a dash or a note says so."""
    if low is None or high is None:
        return ""
    return formatting.interval(low, high, unit, signed=signed)


def trials(row: Row) -> Cell:
    """Write the number of trials, and of how many where some are missing."""
    return Cell(f"{row.n} of {row.n + row.missing}" if row.missing else str(row.n), row.n)


def common(notes: Sequence[str]) -> str:
    """Return the note that several lines share, to be said once instead of in each."""
    return notes[0] if len(notes) > 1 and len(set(notes)) == 1 else ""


def compared(c: Comparison, unit: str, common_note: str) -> Compared:
    """Write a comparison; its note only where it is not common to all lines."""
    return Compared(
        difference=Cell.number(formatting.difference(c.difference, unit), c.difference),
        interval=interval(c.low, c.high, unit, signed=True),
        p=Cell.number(formatting.p_value(c.p_corrected), c.p_corrected),
        effect=Cell.number(formatting.effect(c.effect), c.effect),
        verdict=c.verdict,
        mark=formatting.verdict_mark(c.verdict),
        more_seeds=formatting.more_seeds(c.more_seeds),
        note="" if common_note else c.note,
    )


def tally(verdicts: Sequence[Verdict]) -> list[tuple[formatting.Mark, Verdict, int]]:
    """Count verdicts, best first."""
    return [
        (formatting.verdict_mark(verdict), verdict, verdicts.count(verdict))
        for verdict in _VERDICTS
        if verdict in verdicts
    ]


def on_survival(ps: Mapping[str, float], reference: str) -> str:
    """Say what the log-rank tests are; empty for none."""
    if not ps:
        return ""
    shown = ", ".join(f"{label} {formatting.p_value(p)}" for label, p in ps.items())
    return f"log-rank test against {reference}, p not corrected: {shown}"


def to_the_end(bands: Sequence[CurveBand]) -> list[CurveBand]:
    """Return losses as they are drawn: empty where a trial diverged, whose losses are huge."""
    last = max((band.steps[-1] for band in bands), default=0)
    return [
        band
        if band.steps[-1] == last and math.isfinite(band.mean[-1])
        else replace(band, mean=[math.nan] * len(band.mean))
        for band in bands
    ]


def on_histograms(cells: Sequence[LayerHistograms]) -> str:
    """Say what histograms are of, such as `activations before training, 8 of 20 layers`."""
    if not cells:
        return ""
    when = {
        "initial": "before training",
        "best": "at the best checkpoint",
        "last": "after training",
    }
    some = some_of([cell.layers for cell in cells])
    return ", ".join(filter(None, [f"{cells[0].quantity} {when[cells[0].checkpoint]}", some]))


def duration(seconds: float | None) -> Cell:
    """Write a duration."""
    return Cell.number(formatting.seconds(seconds), seconds)


def energy(joules: float | None) -> Cell:
    """Write an energy."""
    return Cell.number(formatting.energy(joules), joules)


def count(count: int | None) -> Cell:
    """Write a number of things."""
    return Cell.number(formatting.value(count, "steps"), count)


def embedded(element: Element | None) -> Markup | None:
    """Return a plot as markup: ElementTree has escaped whatever text is in it."""
    return None if element is None else Markup(svg.markup(element))
