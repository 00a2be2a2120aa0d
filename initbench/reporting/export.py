"""Results for other programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import Any

from initbench.results import Comparison, Row, SuiteResults

_ROW = (
    "initialiser",
    "model",
    "dataset",
    "measure",
    "unit",
    "direction",
    "n",
    "failed",
    "missing",
    "mean",
    "std",
    "low",
    "high",
    "median",
    "first_quartile",
    "third_quartile",
    "note",
)
_COMPARISON = {
    "reference": "reference",
    "test": "test",
    "pairs": "n",
    "difference": "difference",
    "difference_low": "low",
    "difference_high": "high",
    "statistic": "statistic",
    "df": "df",
    "p": "p",
    "p_corrected": "p_corrected",
    "effect": "effect",
    "verdict": "verdict",
    "more_seeds": "more_seeds",
    "comparison_note": "note",
}
"""Column -> field of the comparison that stands beside a row."""

_FORMULA = ("=", "+", "-", "@")
"""Text that begins so is run as a formula by spreadsheet programs."""


def to_json(results: SuiteResults) -> dict[str, Any]:
    """Return everything as a tree for JSON; an infinite value (a missed target) becomes null."""
    tree: dict[str, Any] = _finite(asdict(results))
    return tree


def published_to_json(results: SuiteResults) -> dict[str, Any]:
    """Return what is published beside ours as a tree for JSON."""
    tree = to_json(results)
    names = ("suite", "profile", "reduced", "command", "confidence", "beside", "claims", "notes")
    return {name: tree[name] for name in names}


def to_csv(results: SuiteResults) -> str:
    """Return one line a row, with its comparison to the reference in further columns.

    What is not of one row is in `to_json` only: aggregates, comparisons between others, layers.
    Numbers are unrounded and fractions stay fractions. Text is on one line and begins with an
    apostrophe where a spreadsheet would take it for a formula.
    """
    beside = {(c.measure, c.model, c.dataset, c.initialiser): c for c in results.comparisons}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_ROW, *_COMPARISON])
    for row in results.rows:
        found = beside.get((row.measure, row.model, row.dataset, row.initialiser))
        writer.writerow([_cell(x) for x in _line(row, found)])
    return text.getvalue()


def _line(row: Row, comparison: Comparison | None) -> list[Any]:
    return [
        *(getattr(row, name) for name in _ROW),
        *(getattr(comparison, name) if comparison else None for name in _COMPARISON.values()),
    ]


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def _finite(tree: Any) -> Any:
    match tree:
        case dict():
            return {str(name): _finite(value) for name, value in tree.items()}
        case list() | tuple():
            return [_finite(value) for value in tree]
        case float() if not math.isfinite(tree):
            return None
        case _:
            return tree
