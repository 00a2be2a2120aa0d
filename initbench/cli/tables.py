"""Tables of results in the terminal: one a measure, model and data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from initbench import formatting
from initbench.cli.terminal import Terminal
from initbench.results import best_first, best_ranks_first

if TYPE_CHECKING:
    from initbench.results import Aggregates, Comparison, Row, SuiteResults

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
            _show_between_others(terminal, results, cell, rows[0].unit)
    for found in results.aggregates:
        if found.lines:
            _show_aggregates(terminal, results, found)
        else:
            terminal.out.print(f"note: {found.measure}: {found.note}", markup=False)
    for note in results.notes:
        terminal.out.print(f"note: {note}", markup=False)


def _show_aggregates(terminal: Terminal, results: SuiteResults, found: Aggregates) -> None:
    """Print what holds over all models and data sets, the best ranks first."""
    from initbench.statistics.ranks import RankInterval

    level = f"{100 * results.confidence:.0f} %"
    columns = [
        "initialiser",
        "rank",
        f"mean, deviations [{level}]",
        f"middle half [{level}]",
        f"improvement, % [{level}]",
        "mean rank",
    ]
    places = "; ".join(f"{model} on {dataset}" for model, dataset in found.blocks)
    remarks = [
        f"difference to {found.reference}, in deviations between seeds; {places}",
        found.note,
        formatting.critical_difference(found),
    ]
    marks = ["  REDUCED"] if results.reduced else []
    terminal.table(
        f"{found.measure}: over {len(found.blocks)} models and data sets{''.join(marks)}",
        columns,
        [
            [
                line.initialiser,
                str(RankInterval(line.best_rank, line.worst_rank)),
                *(f"{x} {ends}".rstrip() for x, ends in formatting.over_blocks(line)),
                f"{line.mean_rank:.2f}",
            ]
            for line in best_ranks_first(found.lines)
        ],
        numbers=columns[2:],
        caption="\n".join(remark for remark in remarks if remark),
    )


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
    terminal.table(
        _title(results, dataset, f"{measure}: {model} on {dataset}"),
        columns,
        body,
        numbers=[column for column in columns[1:] if column != "verdict"],
        caption="\n".join([_caption(results), *_notes(rows, compared)]),
    )


def _show_between_others(terminal: Terminal, results: SuiteResults, cell: Cell, unit: str) -> None:
    """Print the comparisons of two initialisers neither of which is the reference, if any."""
    here = [c for c in results.between_others if (c.measure, c.model, c.dataset) == cell]
    if not here:
        return
    measure, model, dataset = cell
    difference = f"difference, {formatting.unit_of_differences(unit)}".rstrip(", ")
    columns = [
        "initialiser",
        "compared with",
        "n",
        f"{difference} [{100 * results.confidence:.0f} %]",
        "p corr.",
        "verdict",
        "seeds more",
    ]
    terminal.table(
        _title(results, dataset, f"{measure}: {model} on {dataset}, without {results.reference}"),
        columns,
        [
            [
                c.initialiser,
                c.reference,
                str(c.n),
                f"{formatting.difference(c.difference, unit)} "
                f"{formatting.interval(c.low, c.high, unit, signed=True)}",
                formatting.p_value(c.p_corrected),
                str(formatting.verdict_mark(c.verdict)),
                "" if c.more_seeds is None else f"{c.more_seeds:,}",
            ]
            for c in here
        ],
        numbers=[column for column in columns[2:] if column != "verdict"],
        caption="\n".join(f"{c.initialiser}, {c.reference}: {c.note}" for c in here if c.note),
    )


def _title(results: SuiteResults, dataset: str, text: str) -> str:
    marks = [*(["reduced"] if results.reduced else []), *results.marks(dataset)]
    return "  ".join([text, *(mark.upper() for mark in marks)])


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
        notes = [row.note]
        if comparison is not None:
            on_images = formatting.over_test_images(comparison.sensitivity.get("test_images"))
            notes += [comparison.note, on_images]
        said = "; ".join(note for note in notes if note)
        if said:
            yield f"{row.initialiser}: {said}"


def _caption(results: SuiteResults) -> str:
    corrections = {"holm": "Holm", "bonferroni": "Bonferroni", "none": "no"}
    family = "all pairs of initialisers" if results.family == "all" else "the family"
    return (
        f"difference to {results.reference}; {formatting.name_of_test(results.test)}, "
        f"{corrections[results.correction]} correction over {family}"
    )
