"""`initbench results`: the results of a suite as a table, CSV or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import load_from_options, results_option, suite_options
from initbench.cli.tables import show_results
from initbench.cli.terminal import Terminal
from initbench.errors import UserError

if TYPE_CHECKING:
    from initbench.store.manifest import SuiteManifest
    from initbench.store.store import Store
    from initbench.suite.load import LoadedSuite


@click.command(
    epilog="""\b
Examples:
  initbench results quickstart
  initbench results suites/quickstart.yaml --profile smoke --format json
"""
)
@suite_options
@results_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="How to print them.",
)
@click.pass_obj
def results(terminal: Terminal, /, results: Path, form: str, **options: Any) -> None:
    """Print the results of a suite that was run.

    Trains nothing. SUITE is the name of a bundled suite or the path of a suite file.
    """
    from initbench.plugin.registry import Registry
    from initbench.reporting import results_of, to_csv, to_json
    from initbench.store.store import Store

    store = Store(results)
    manifest = run_manifest(terminal, store, load_from_options(**options))
    found = results_of(store, manifest, Registry.installed())
    if form == "json":
        terminal.print_json(to_json(found))
    elif form == "csv":
        terminal.print_text(to_csv(found))
        if found.aggregates or found.between_others:
            terminal.info(
                "one line a cell; what holds across models and data sets, and comparisons without "
                "the reference, are in `--format json`: `aggregates`, `between_others`"
            )
    else:
        show_results(terminal, found)


def run_manifest(terminal: Terminal, store: Store, loaded: LoadedSuite) -> SuiteManifest:
    """Return the suite as it was run: known by its name, profile and overrides."""
    from initbench.store.manifest import manifest_id

    manifest = store.manifest(manifest_id(loaded.name, loaded.profile, loaded.overrides))
    if manifest is None:
        raise UserError(
            f"`{store.paths.root}` holds no results of `{loaded.name}`"
            + (f", profile `{loaded.profile}`" if loaded.profile else "")
            + (f", with {' '.join(loaded.overrides)}" if loaded.overrides else "")
            + f"; make them with `{loaded.command}`"
        )
    if manifest.source != loaded.source:
        terminal.warning(
            f"`{loaded.name}` has changed since it was run; these are the results of the suite as "
            f"it was; `{loaded.command}` brings them up to date"
        )
    return manifest
