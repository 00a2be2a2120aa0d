"""Published values and claims as people read them, for terminal and page alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from initbench import formatting
from initbench.formatting import Mark
from initbench.results import Beside, ClaimPair

_VERDICTS = {
    "reproduced": Mark("✓", "reproduced"),
    "not reproduced": Mark("✗", "not reproduced"),
    "undecided": Mark("○", "undecided"),
}
_HOLDS = {True: "✓", False: "✗", None: "○"}


def beside_groups(rows: Sequence[Beside], *, by_setting: bool = False) -> list[list[Beside]]:
    """Sort published values into tables: one an experiment, metric, model and data set.

    With `by_setting` there is also one for each threshold, epoch or severity.
    """
    groups: dict[tuple[str, ...], list[Beside]] = {}
    for row in rows:
        printed = "figure" if row.published is None else "number"
        setting = settings_text(row) if by_setting else ""
        key = (row.experiment, row.metric, row.model, row.dataset, printed, setting)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def of_group(row: Beside) -> str:
    """Name the table that a published value is in.

    >>> of_group(Beside("accuracy", "", "test_accuracy", {}, "he", "resnet20", "pcam", "", None))
    'accuracy: test accuracy, resnet20 on pcam'
    """
    return f"{row.experiment}: {row.metric.replace('_', ' ')}, {row.model} on {row.dataset}"


def settings_text(row: Beside) -> str:
    """Return what a value was measured at: `epoch 25`, `threshold 0.65`."""
    return _settings(row.settings)


def published_text(row: Beside) -> str:
    """Return a published value with its deviation, or that only a figure shows it."""
    if row.published is None:
        return "figure only"
    shown = formatting.value(row.published, row.unit)
    if row.bound is not None:
        return f"< {shown}"
    if row.published_std is None:
        return shown
    return f"{shown} ± {formatting.value(row.published_std, row.unit)}"


def inside_mark(row: Beside) -> str:
    """Say where the published value lies; a dash where there is no prediction."""
    if row.inside is None:
        return formatting.UNDEFINED
    return "✓ inside" if row.inside else "✗ outside"


def claim_mark(verdict: str) -> Mark:
    """Return the sign and the word for what became of a claim.

    >>> str(claim_mark("not reproduced"))
    '✗ not reproduced'
    """
    return _VERDICTS[verdict]


def pair_text(pair: ClaimPair) -> str:
    """Return one comparison behind a claim in a line."""
    where = ", ".join(part for part in (pair.dataset, _settings(pair.settings)) if part)
    unit = formatting.unit_of_differences(pair.unit)
    interval = formatting.interval(pair.low, pair.high, pair.unit, signed=True)
    shown = [formatting.difference(pair.difference, pair.unit)]
    shown += [interval] if interval != formatting.UNDEFINED else []
    p = f", p {formatting.p_value(pair.p_corrected)}" if pair.p_corrected is not None else ""
    return (
        f"{_HOLDS[pair.holds]} {pair.first} − {pair.second} on {where}: "
        f"{' '.join([*shown, unit]).rstrip()}{p}"
    )


def source_text(rows: Sequence[Beside]) -> str:
    """Name the places of the papers that values come from."""
    shown = [f"{row.source} ({row.shown_as})" if row.shown_as else row.source for row in rows]
    return ", ".join(dict.fromkeys(shown))


def shared_conditions(rows: Sequence[Beside]) -> list[str]:
    """Return what differs from the paper for all values alike, of which we have something."""
    first, *others = [row for row in rows if row.n] or rows
    return [text for text in first.conditions if all(text in o.conditions for o in others)]


def remark(row: Beside, shared: Sequence[str]) -> str:
    """Say why something is not there, and what differs for this value alone."""
    own = [text for text in row.conditions if text not in shared]
    return "; ".join([row.reason, *own] if row.reason else own)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
