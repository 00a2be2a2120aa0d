"""`initbench explain`: what is below a trial's key, and the leaf in which two keys differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal
from initbench.errors import UserError, unknown_name
from initbench.store.identity import differences

if TYPE_CHECKING:
    from initbench.store.manifest import TrialEntry
    from initbench.store.store import Store

Tree = dict[str, Any]


@click.command(
    epilog="""\b
Examples:
  initbench explain 3f9a
  initbench explain quickstart:he:0 quickstart:lecun:0
"""
)
@click.argument("trial")
@click.argument("other", required=False)
@results_option
@click.pass_obj
def explain(terminal: Terminal, trial: str, other: str | None, results: Path) -> None:
    """Show what is below a trial's key, or how two trials differ.

    TRIAL and OTHER are keys of records (their first characters do) or planned trials as
    SUITE:INITIALISER:SEED, with @MODEL,DATASET where a suite has several. For a planned trial
    without a record, the record that comes closest is compared with it: that is why it was not
    cached.
    """
    from initbench.store.store import Store

    store = Store(results)
    key, identity = _find(terminal, trial, store)
    if other is not None:
        other_key, other_identity = _find(terminal, other, store)
        _show_differences(terminal, (key, identity), (other_key, other_identity))
        return
    terminal.print_text(f"key     {key}")
    status = store.status(key)
    terminal.print_text(f"status  {status.value if status else 'missing'}")
    terminal.print_text(json.dumps(identity, indent=2, ensure_ascii=False))
    if status is None and (near := _closest_record(identity, store)) is not None:
        terminal.print_text("\nNot in the store. The record that comes closest differs so:")
        _show_differences(terminal, (key, identity), near)


def _find(terminal: Terminal, text: str, store: Store) -> tuple[str, Tree]:
    if ":" in text:
        return _planned(terminal, text)
    keys = store.find(text.lower())
    if not keys:
        raise UserError(
            f"no record in `{store.paths.root}` has a key that begins with `{text}`; "
            "for a trial that was not run yet, write SUITE:INITIALISER:SEED"
        )
    if len(keys) > 1:
        shown = ", ".join(key[:12] for key in keys[:5])
        raise UserError(f"`{text}` begins {len(keys)} keys ({shown}, ...); give more characters")
    record = store.record(keys[0])
    assert record is not None
    return record.key, record.identity


def _planned(terminal: Terminal, text: str) -> tuple[str, Tree]:
    """Return the trial that SUITE:INITIALISER:SEED[@MODEL,DATASET] names, as it would be now."""
    from initbench.cli.plan import expand
    from initbench.plugin.registry import Registry
    from initbench.suite.load import load_suite

    try:
        name, rest = text.split(":", 1)
        label, rest = rest.rsplit(":", 1)
        seed_text, _, cell = rest.partition("@")
        seed = int(seed_text)
    except ValueError:
        raise UserError(
            f"`{text}` is not a trial; expected SUITE:INITIALISER:SEED or "
            "SUITE:INITIALISER:SEED@MODEL,DATASET, for example `quickstart:he:0`"
        ) from None
    plan = expand(terminal, load_suite(name), Registry.installed())
    labels = {entry.initialiser for entry in plan.manifest.trials}
    if label not in labels:
        raise unknown_name("initialiser of the suite", label, labels)
    found = [e for e in plan.manifest.trials if (e.initialiser, e.seed) == (label, seed)]
    if not found:
        raise UserError(f"suite `{name}` has no seed {seed}; it has {plan.manifest.seeds}")
    entry = _chosen(text, found, cell or None)
    return entry.key, plan.trials[entry.key].identity


def _chosen(text: str, entries: list[TrialEntry], cell: str | None) -> TrialEntry:
    """Return the one trial meant where a suite has several models or data sets."""
    cells = {f"{entry.model},{entry.dataset}": entry for entry in entries}
    if cell is None and len(entries) == 1:
        return entries[0]
    if cell not in cells:
        base = text if cell is None else text.removesuffix(f"@{cell}")
        raise UserError(
            f"`{text}`: the suite has {len(cells)} models and data sets; say which, as one of "
            + ", ".join(f"`{base}@{name}`" for name in cells)
        )
    return cells[cell]


def _closest_record(identity: Tree, store: Store) -> tuple[str, Tree] | None:
    """Return the record whose identity differs in the fewest leaves."""
    records = store.records(store.keys()).values()
    if not records:
        return None
    best = min(records, key=lambda r: sum(1 for _ in differences(identity, r.identity)))
    return best.key, best.identity


def _show_differences(terminal: Terminal, left: tuple[str, Tree], right: tuple[str, Tree]) -> None:
    rows = [
        [d.path, json.dumps(d.left, ensure_ascii=False), json.dumps(d.right, ensure_ascii=False)]
        for d in differences(left[1], right[1])
    ]
    if not rows:
        terminal.print_text(f"{left[0][:12]} and {right[0][:12]} are the same trial.")
        return
    terminal.table("", ["leaf", left[0][:12], right[0][:12]], rows)
