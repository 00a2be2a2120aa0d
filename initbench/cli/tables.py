"""Tables of results in the terminal: one a measure, model and data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from initbench import formatting
from initbench.cli.terminal import Terminal
from initbench.results import best_first

if TYPE_CHECKING:
    from initbench.results import Comparison, Row, SuiteResults

Cell = tuple[str, str, str]  # measure, model, data set

_WIDE = 140

MEAN_CURVE = ".mean_curve"
"""Ends the name of a measure that was taken of the mean curve: one number, nothing to compare."""


def show_results(terminal: Terminal, results: SuiteResults) -> None:
    """Print every cell of a suite as a table, then what readers must know about the numbers."""
    cells = _cells(results)
    for cell, rows in cells.items():
        measure, model, dataset = cell
        if not measure.endswith(MEAN_CURVE):
            of_mean = cells.get((measure + MEAN_CURVE, model, dataset), [])
            _show_cell(terminal, results, cell, rows, {row.initialiser: row for row in of_mean})
    for note in results.notes:
        terminal.out.print(f"note: {note}", markup=False)


def _cells(results: SuiteResults) -> dict[Cell, list[Row]]:
    cells: dict[Cell, list[Row]] = {}
    for row in results.rows:
        cells.setdefault((row.measure, row.model, row.dataset), []).append(row)
    return cells


def _show_cell(
    terminal: Terminal,
    results: SuiteResults,
    cell: Cell,
    rows: list[Row],
    of_mean_curve: dict[str, Row],
) -> None:
    measure, model, dataset = cell
    compared = {
        c.initialiser: c for c in results.comparisons if (c.measure, c.model, c.dataset) == cell
    }
    rows = sorted(rows, key=lambda row: best_first(row, results.reference, compared))
    unit, level = rows[0].unit, f"{100 * results.confidence:.0f} %"
    columns = [
        "initialiser",
        "n",
        f"mean, {formatting.unit_of_values(unit)} [{level}]",
        f"difference, {formatting.unit_of_differences(unit)} [{level}]",
        "p corr.",
        "effect g",
        "verdict",
        "seeds more",
    ]
    # Where a line would not fit, the interval goes below its number.
    gap = " " if terminal.out.width >= _WIDE else "\n"
    body = [_line(results, row, compared.get(row.initialiser), gap) for row in rows]
    if of_mean_curve:
        columns.insert(3, "of mean curve")
        for row, line in zip(rows, body, strict=True):
            line.insert(3, formatting.value(of_mean_curve[row.initialiser].mean, unit))
    marks = [*(["reduced"] if results.reduced else []), *results.marks(dataset)]
    terminal.table(
        "  ".join([f"{measure}: {model} on {dataset}", *(mark.upper() for mark in marks)]),
        columns,
        body,
        numbers=[column for column in columns[1:] if column != "verdict"],
        caption="\n".join([_caption(results), *_notes(rows, compared)]),
    )


def _line(results: SuiteResults, row: Row, comparison: Comparison | None, gap: str) -> list[str]:
    interval = formatting.interval(row.low, row.high, row.unit)
    shown = [row.initialiser, _count(row), f"{formatting.value(row.mean, row.unit)}{gap}{interval}"]
    if comparison is None:
        return [*shown, "", "", "", "reference" if row.initialiser == results.reference else "", ""]
    interval = formatting.interval(comparison.low, comparison.high, row.unit, signed=True)
    more = comparison.more_seeds
    return [
        *shown,
        f"{formatting.difference(comparison.difference, row.unit)}{gap}{interval}",
        formatting.p_value(comparison.p_corrected),
        formatting.effect(comparison.effect),
        str(formatting.verdict_mark(comparison.verdict)),
        "" if more is None else f"{more:,}",
    ]


def _count(row: Row) -> str:
    troubles = [(row.failed, "failed"), (row.missing, "missing")]
    listed = ", ".join(f"{count} {what}" for count, what in troubles if count)
    return f"{row.n} ({listed})" if listed else str(row.n)


def _notes(rows: Sequence[Row], compared: Mapping[str, Comparison]) -> Iterator[str]:
    """Yield a line for each initialiser of which something is to be said."""
    for row in rows:
        comparison = compared.get(row.initialiser)
        notes = [note for note in (row.note, comparison.note if comparison else "") if note]
        if notes:
            yield f"{row.initialiser}: {'; '.join(notes)}"


def _caption(results: SuiteResults) -> str:
    tests = {"paired_t": "paired t-test on shared seeds", "welch": "Welch's t-test"}
    corrections = {"holm": "Holm", "bonferroni": "Bonferroni", "none": "no"}
    return (
        f"difference to {results.reference}; {tests[results.test]}, "
        f"{corrections[results.correction]} correction over the family"
    )
