"""`initbench zoo`: populations of trained networks."""

from __future__ import annotations

from pathlib import Path

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal
from initbench.cli.zoo_exchange import export, import_
from initbench.cli.zoo_training import counted, train
from initbench.suite.overrides import format_seeds

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)

_ROOM = 32
"""Characters of a name in the list; `show` and JSON have all of them."""


@click.group(
    epilog="""\b
Examples:
  initbench zoo train zoo_cnn mnist --recipe schuerholt2022_mnist --networks 100
  initbench zoo list
"""
)
def zoo() -> None:
    """Train, list, show, export and import populations of networks.

    A zoo is made of trials that are equal but for the seed. A suite whose initialiser learns from
    a zoo finds what was trained here, and trains nothing again.
    """


zoo.add_command(train)
zoo.add_command(export)
zoo.add_command(import_)


@zoo.command(
    "list",
    short_help="List the zoos of a results folder.",
    epilog="""\b
Examples:
  initbench zoo list
  initbench zoo list --results other/results --format json
""",
)
@results_option
@format_option
@click.pass_obj
def list_(terminal: Terminal, results: Path, form: str) -> None:
    """List the zoos of a results folder: all trials that are equal but for the seed."""
    from initbench.leaderboard.text import shortened
    from initbench.store.store import Store
    from initbench.zoo.describe import foreign_line, line
    from initbench.zoo.foreign import foreign_zoos
    from initbench.zoo.stored import stored_zoos

    store = Store(results)
    lines = [line(found) for found in stored_zoos(store)]
    lines += [foreign_line(found) for found in foreign_zoos(store)]
    if form == "json":
        terminal.print_json(lines)
        return
    columns = ["key", "model", "data set", "initialiser", "recipe", "networks", "kept epochs"]
    rows = [
        [
            each["key"][:12],
            shortened(each["model"], _ROOM),
            shortened(each["dataset"], _ROOM),
            shortened(each["initialiser"], _ROOM),
            shortened(each["recipe"], _ROOM),
            counted(each["networks"]),
            format_seeds(each["kept_epochs"]) or "none",
        ]
        for each in lines
    ]
    terminal.table("", columns, rows)


@zoo.command(
    short_help="Show one zoo.",
    epilog="""\b
Examples:
  initbench zoo show 3f9a
  initbench zoo show 3f9a --format json
""",
)
@click.argument("key")
@results_option
@format_option
@click.pass_obj
def show(terminal: Terminal, key: str, results: Path, form: str) -> None:
    """Show one zoo: what it is made of, its split by model, and its accuracies.

    KEY is the key of a zoo (its first characters do). Reads the store only.
    """
    from initbench.store.store import Store
    from initbench.zoo.describe import description, foreign_description
    from initbench.zoo.stored import StoredZoo, stored_zoo

    found = stored_zoo(Store(results), key)
    own = isinstance(found, StoredZoo)
    shown = description(found) if isinstance(found, StoredZoo) else foreign_description(found)
    if form == "json":
        terminal.print_json(shown)
        return
    facts = {
        "key": shown["key"],
        "model": shown["model"],
        "data set": shown["dataset"],
        "initialiser": shown["initialiser"],
        "recipe": shown["recipe"],
        "networks": counted(shown["networks"]),
        "seeds": format_seeds([member["seed"] for member in shown["members"]]) if own else "",
        "kept epochs": format_seeds(shown["kept_epochs"]) or "none",
        "split by model": shown["split"],
    }
    width = max(map(len, facts))
    for label, text in facts.items():
        if text:
            terminal.print_text(f"{label:{width}}  {text}")
    columns = ["after epoch", "split", *(f"{round(100 * q)} %" for q in shown["quantiles"])]
    rows = [
        [str(row["epoch"]), row["split"], *(f"{100 * x:.2f}" for x in row["accuracy"])]
        for row in shown["accuracies"]
    ]
    title = "\nAccuracy in per cent: quantiles over the networks that trained to the end"
    terminal.table(title, columns, rows, numbers=[columns[0], *columns[2:]])
