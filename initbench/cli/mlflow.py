"""`initbench mlflow`: the mirror of records in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal
from initbench.errors import UserError

if TYPE_CHECKING:
    from initbench.results import SuiteResults
    from initbench.store.manifest import SuiteManifest
    from initbench.store.store import Store
    from initbench.tracking.mirror import SyncReport

EXIT_INCOMPLETE = 3
"""MLflow lacks something; records are not affected."""

_EXAMPLES = """\b
Examples:
  initbench mlflow sync
  initbench mlflow sync --results results --uri http://127.0.0.1:5000
"""


@click.group(epilog=_EXAMPLES)
def mlflow() -> None:
    """Mirror records to MLflow."""


@mlflow.command(epilog=_EXAMPLES)
@results_option
@click.option(
    "--uri",
    help="Tracking store to mirror to  [env: MLFLOW_TRACKING_URI; default: SQLite in the results "
    "folder]",
)
@click.pass_obj
def sync(terminal: Terminal, results: Path, uri: str | None) -> int:
    """Complete what MLflow lacks of all suites that were run.

    Runs that are complete stay as they are, missing ones are made, and those that a killed process
    left RUNNING are ended.
    """
    from initbench.store.store import Store
    from initbench.tracking.location import location
    from initbench.tracking.mirror import sync as sync_suites

    store = Store(results)
    where = location(results, uri)
    if not store.manifests():
        raise UserError(
            f"`{results}` holds no suite that was run; make one with `initbench run quickstart`, "
            "or name another folder with `--results`"
        )
    with store.lock("mlflow sync") as writer:
        report = sync_suites(writer, where, _suites(writer))
        for warning in writer.warnings:
            terminal.warning(warning)
    return _show(terminal, report)


def _suites(store: Store) -> Iterator[tuple[SuiteManifest, SuiteResults]]:
    from initbench.plugin.registry import Registry
    from initbench.reporting import results_of

    registry = Registry.installed()
    for manifest in store.manifests():
        yield manifest, results_of(store, manifest, registry)


def _show(terminal: Terminal, report: SyncReport) -> int:
    terminal.info(
        f"{report.suites} suite(s) in {report.uri}: {report.trials_new} trials written, "
        f"{report.trials_skipped} complete already, {report.closed} runs closed"
    )
    if report.warning:
        terminal.warning(report.warning)
        return EXIT_INCOMPLETE
    terminal.success(f"to see them: {report.how_to_open}")
    return 0
