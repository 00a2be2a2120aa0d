"""`initbench leaderboard`: the page."""

from __future__ import annotations

from pathlib import Path

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal


@click.group(
    epilog="""\b
Examples:
  initbench leaderboard build
  initbench leaderboard build --results /data/results --output board.html
"""
)
def leaderboard() -> None:
    """Build the leaderboard page."""


@leaderboard.command(
    epilog="""\b
Examples:
  initbench leaderboard build
  initbench leaderboard build --results /data/results --output board.html
"""
)
@results_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write  [default: leaderboard/index.html in the results folder]",
)
@click.pass_obj
def build(terminal: Terminal, results: Path, output: Path | None) -> None:
    """Make one self-contained page from everything that was run; trains nothing."""
    from initbench.leaderboard.publish import collect, write_page
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store

    store = Store(results)
    collected = collect(store, Registry.installed())
    for suite, reason in collected.left_out.items():
        terminal.warning(f"`{suite}` is not on the page: {reason}")
    page = write_page(collected, output or store.paths.leaderboard / "index.html")
    terminal.print_text(str(page))
