"""`initbench run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import (
    load_from_options,
    resource_options,
    results_option,
    suite_options,
)
from initbench.cli.plan import expand, show_plan
from initbench.cli.progress import RunProgress
from initbench.cli.tables import show_results
from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry
    from initbench.results import SuiteResults
    from initbench.store.store import StoreWriter
    from initbench.suite.plan import Plan

EXIT_TROUBLE = 3
"""The suite ran to its end, but some of its trials diverged, failed or were lost."""


@click.command(
    epilog="""\b
Examples:
  initbench run suites/quickstart.yaml
  initbench run quickstart --profile smoke --set recipe.epochs=3 --only initialiser=he,xavier
"""
)
@suite_options
@results_option
@resource_options
@click.option("--mlflow/--no-mlflow", default=True, show_default=True, help="Mirror to MLflow.")
@click.option("--retry-failed", is_flag=True, help="Fit and train again what failed.")
@click.pass_obj
def run(
    terminal: Terminal,
    /,
    results: Path,
    device: str,
    workers: int | None,
    devices_per_trial: int,
    stack: bool | None,
    mlflow: bool,
    retry_failed: bool,
    **options: Any,
) -> int:
    """Run a suite: train what is missing, test, publish.

    SUITE is the name of a bundled suite or the path of a suite file. A run that was stopped, by
    whatever means, continues when the same command is given again.
    """
    from initbench.execution.run import forget_failed, resources
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store

    loaded = load_from_options(**options)
    available = resources(device, workers, devices_per_trial, stack)
    registry = Registry.installed()
    plan = expand(terminal, loaded, registry)
    with Store(results).lock(f"run {plan.manifest.name}") as writer:
        if retry_failed:
            forget_failed(plan, writer)
        writer.write_manifest(plan.manifest)
        return _run(terminal, plan, writer, registry, available, mlflow)


def _run(
    terminal: Terminal,
    plan: Plan,
    writer: StoreWriter,
    registry: Registry,
    resources: Resources,
    mlflow: bool,
) -> int:
    from initbench.execution.run import execute, pending
    from initbench.leaderboard.publish import publish
    from initbench.reporting import results_of
    from initbench.tracking.background import BackgroundMirror

    estimate = show_plan(terminal, plan, writer, registry, resources)
    mirror = BackgroundMirror(writer, plan.manifest) if mlflow else None
    try:
        with RunProgress(
            terminal,
            labels_of_pending(plan, writer),
            estimate,
            mirror.trial if mirror else lambda _: None,
            len(pending(plan, writer).observations),
        ) as progress:
            execute(plan, writer, registry, resources, progress)
    except BaseException:
        if mirror is not None:
            mirror.stop()
        raise
    finally:
        for warning in [*writer.warnings, *registry.warnings]:
            terminal.warning(warning)
    found = results_of(writer, plan.manifest, registry)
    page = publish(writer, registry)
    show_results(terminal, found)
    terminal.info(f"records      {writer.paths.records}")
    if mirror is not None:
        report = mirror.finish(found)
        if report.warning:
            terminal.warning(report.warning)
        else:
            terminal.info(f"MLflow       {report.uri}  ({report.how_to_open})")
    terminal.info(f"leaderboard  {page}")
    return _exit_code(terminal, found)


def labels_of_pending(plan: Plan, writer: StoreWriter) -> dict[str, str]:
    """Name the trials that remain to be done, for people."""
    from initbench.execution.run import pending

    named = {entry.key: f"{entry.initialiser}, seed {entry.seed}" for entry in plan.manifest.trials}
    left = pending(plan, writer).all_trials
    return {key: named.get(key, f"zoo, seed {trial.seed}") for key, trial in left.items()}


def _exit_code(terminal: Terminal, results: SuiteResults) -> int:
    troubled = [f for f in results.failures if results.trials[f["trial"]] != "missing"]
    if not troubled:
        return 0
    counts: dict[str, int] = {}
    for failure in troubled:
        counts[failure["status"]] = counts.get(failure["status"], 0) + 1
    listed = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    terminal.warning(
        f"{len(troubled)} of {len(results.trials)} trials have no result of their own ({listed}); "
        "they are counted and scored by rule, see `initbench results`"
    )
    return EXIT_TROUBLE
