"""`initbench zoo export` and `import`: zoos are handed on and taken in."""

from __future__ import annotations

from pathlib import Path

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal
from initbench.errors import UserError
from initbench.formatting import byte_size


@click.command(
    short_help="Write a zoo into a folder of its own.",
    epilog="""\b
Examples:
  initbench zoo export 3f9a mnist_zoo
  initbench zoo export 3f9a mnist_zoo --results other/results
""",
)
@click.argument("key")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@results_option
@click.pass_obj
def export(terminal: Terminal, key: str, folder: Path, results: Path) -> None:
    """Write a zoo into FOLDER, for others: weights as safetensors, and an index that says it all.

    KEY is the key of a zoo (its first characters do).
    """
    from initbench.store.store import Store
    from initbench.zoo.bundle import INDEX
    from initbench.zoo.bundle import export as export_zoo
    from initbench.zoo.stored import stored_zoo

    store = Store(results)
    index = export_zoo(stored_zoo(store, key), store, folder)
    size = sum(file.bytes for file in (index.records, *index.shards))
    terminal.success(
        f"{len(index.members)} networks in {len(index.shards)} shards, {byte_size(size)}: "
        f"{folder / INDEX}"
    )


@click.command(
    "import",
    short_help="Take in a zoo that somebody exported.",
    epilog="""\b
Examples:
  initbench zoo import mnist_zoo
  initbench zoo import tune_zoo_mnist_uniform --from schuerholt2022 --checkpoints 21-25
""",
)
@click.argument("path", type=click.Path(path_type=Path))
@results_option
@click.option(
    "--from",
    "form",
    type=click.Choice(["initbench", "schuerholt2022"]),
    default="initbench",
    show_default=True,
    help="Who made it; schuerholt2022: the unpacked raw archive of a public zoo of small CNNs.",
)
@click.option(
    "--checkpoints",
    metavar="EPOCHS",
    help="Of a public zoo: epochs to take, such as `21-25`.  [default: all that each network has]",
)
@click.pass_obj
def import_(
    terminal: Terminal, path: Path, results: Path, form: str, checkpoints: str | None
) -> None:
    """Take in the zoo at PATH, the folder that `initbench zoo export` made.

    Everything is checked first. Suites then find its networks as if they had been trained here. A
    public zoo is kept apart: `list` and `show` know it, but no suite takes its networks for ours.
    """
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store
    from initbench.zoo.foreign import take_in_public
    from initbench.zoo.plan import parse_epochs
    from initbench.zoo.taking_in import take_in

    if form == "initbench" and checkpoints is not None:
        raise UserError("`--checkpoints` is for public zoos; an export is taken in whole")
    with Store(results).lock(f"zoo import {path}") as writer:
        if form != "initbench":
            epochs = None if checkpoints is None else parse_epochs(checkpoints)
            zoo = take_in_public(path, epochs, writer, Registry.installed())
            terminal.success(f"zoo {zoo.key[:12]}: {len(zoo.description['networks'])} networks")
            return
        taken = take_in(path, writer, Registry.installed())
        for warning in (*taken.warnings, *writer.warnings):
            terminal.warning(warning)
    there = f", {taken.already_there} were there already" if taken.already_there else ""
    terminal.success(f"zoo {taken.key[:12]}: {taken.added} trials added{there}")
