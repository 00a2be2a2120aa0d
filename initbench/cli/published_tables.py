"""Published values and claims in the terminal: a table a metric, then a line a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from initbench import formatting
from initbench.cli.terminal import Terminal
from initbench.published.display import (
    beside_groups,
    claim_mark,
    of_group,
    pair_text,
    published_text,
    remark,
    settings_text,
    shared_conditions,
    source_text,
)

if TYPE_CHECKING:
    from initbench.results import Beside, ClaimCheck, SuiteResults

_WIDE = 110
_INSIDE = {True: "✓ yes", False: "✗ no", None: formatting.UNDEFINED}


def show_published(terminal: Terminal, results: SuiteResults) -> None:
    """Print every published value beside ours, then what became of the claims."""
    for group in beside_groups(results.beside, by_setting=True):
        if any(row.n or row.published is not None for row in group):
            _show_group(terminal, results, group)
        else:
            reasons = "; ".join(dict.fromkeys(row.reason for row in group))
            terminal.out.print(f"{of_group(group[0])}: figure only; {reasons}", markup=False)
        terminal.out.print()
    if results.claims:
        terminal.out.print("What the papers say in words", style="bold")
    for claim in results.claims:
        _show_claim(terminal, claim)
    if results.notes:
        terminal.out.print()
    for note in results.notes:
        terminal.out.print(f"note: {note}", markup=False)


def _show_group(terminal: Terminal, results: SuiteResults, group: Sequence[Beside]) -> None:
    first, level = group[0], f"{100 * results.confidence:.0f} %"
    # Where a line would not fit, the interval goes below its number.
    gap = " " if terminal.out.width >= _WIDE else "\n"
    columns = [
        "initialiser",
        "published",
        f"ours [{level}]",
        "difference",
        f"predicted [{level}]",
        "inside?",
    ]
    body = [
        [
            row.initialiser,
            published_text(row),
            _ours(row, gap),
            formatting.difference(row.difference, row.unit),
            formatting.interval(row.predicted_low, row.predicted_high, row.unit),
            _INSIDE[row.inside],
        ]
        for row in group
    ]
    setting, unit = settings_text(first), formatting.unit_of_values(first.unit)
    title = [of_group(first), f"at {setting}" if setting else "", f"in {unit}" if unit else ""]
    marks = [
        *(["REDUCED"] if results.reduced else []),
        *map(str.upper, results.marks(first.our_dataset)),
    ]
    terminal.table(
        "  ".join([", ".join(part for part in title if part), *marks]),
        columns,
        body,
        numbers=columns[1:-1],
        caption="\n".join(_caption(group)),
    )


def _ours(row: Beside, gap: str) -> str:
    if row.mean is None:
        return formatting.UNDEFINED
    interval = formatting.interval(row.low, row.high, row.unit)
    shown = formatting.value(row.mean, row.unit)
    return shown if interval == formatting.UNDEFINED else f"{shown}{gap}{interval}"


def _caption(group: Sequence[Beside]) -> list[str]:
    """Say what differs from the paper, and why something is not there: once where it is shared."""
    lines = [f"source: {source_text(group)}"]
    shared = shared_conditions(group)
    if shared:
        lines.append(f"differs: {'; '.join(shared)}")
    told: dict[str, list[str]] = {}
    for row in group:
        if text := remark(row, shared):
            told.setdefault(text, []).append(row.initialiser)
    for text, names in told.items():
        lines.append(f"{', '.join(dict.fromkeys(names))}: {text}")
    lines += [f"note: {text}" for text in dict.fromkeys(row.note for row in group) if text]
    return lines


def _show_claim(terminal: Terminal, claim: ClaimCheck) -> None:
    out = terminal.out
    out.print(f"\n{claim_mark(claim.verdict)}: {claim.statement}", markup=False)
    if claim.reason:
        out.print(f"  {claim.reason}", markup=False)
    for pair in claim.pairs:
        if pair.difference is not None:
            out.print(f"  {pair_text(pair)}", markup=False)
    out.print(f"  source: {claim.source}", markup=False)
    for text in [*claim.conditions, *([claim.note] if claim.note else [])]:
        out.print(f"  {text}", markup=False)
