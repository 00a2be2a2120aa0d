"""`initbench plan`: what `run` would do."""

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
from initbench.cli.progress import clock
from initbench.cli.terminal import Terminal
from initbench.cli.working import Working
from initbench.formatting import byte_size

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.data.identify import Identified
    from initbench.execution.memory import DataNeed
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store
    from initbench.suite.load import LoadedSuite
    from initbench.suite.plan import Plan
    from initbench.suite.trial import Reference


@click.command(
    epilog="""\b
Examples:
  initbench plan quickstart
  initbench plan suites/quickstart.yaml --profile smoke --only initialiser=he,xavier
"""
)
@suite_options
@results_option
@resource_options
@click.pass_obj
def plan(
    terminal: Terminal,
    /,
    results: Path,
    device: str,
    workers: int | None,
    devices_per_trial: int,
    stack: bool | None,
    **options: Any,
) -> None:
    """Show what `run` would do, without doing it.

    SUITE is the name of a bundled suite or the path of a suite file.
    """
    from initbench.execution.run import resources
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store

    loaded = load_from_options(**options)
    registry = Registry.installed()
    expanded = expand(terminal, loaded, registry)
    available = resources(device, workers, devices_per_trial, stack)
    show_plan(terminal, expanded, Store(results), registry, available)
    for warning in registry.warnings:
        terminal.warning(warning)


def expand(terminal: Terminal, loaded: LoadedSuite, registry: Registry) -> Plan:
    """Resolve a suite into a plan, with the user's data folder."""
    from initbench.data.identify import identify
    from initbench.execution.run import data_root
    from initbench.suite.plan import expand

    with Working(terminal) as working:

        def identified(dataset: DataSet[Any], reference: Reference) -> Identified:
            return identify(dataset, reference.tree(), data_root(), working)

        return expand(loaded, registry, identified)


def show_plan(
    terminal: Terminal, plan: Plan, store: Store, registry: Registry, resources: Resources
) -> float | None:
    """Say what there is to do and how long it will take; return the estimate in seconds."""
    from initbench.execution.estimate import seconds
    from initbench.execution.memory import check_memory, data_needs
    from initbench.execution.run import pending

    left = pending(plan, store)
    manifest = plan.manifest
    counts = [f"{len(plan.trials)} trials"]
    if plan.zoo_trials:
        counts.append(f"{len(plan.zoo_trials)} zoo trials")
    if plan.fittings:
        counts.append(f"{len(plan.fittings)} fittings")
    profile = f", profile {manifest.profile}" if manifest.profile else ""
    cells = {(t.model, t.dataset) for t in manifest.trials}
    terminal.info(f"{manifest.title} ({manifest.name}{profile})")
    terminal.info(
        f"  {len(manifest.initialisers)} initialisers x {len(manifest.seeds)} seeds x "
        f"{len(cells)} model and data set = {', '.join(counts)}"
    )
    for need in data_needs(plan, left, registry):
        terminal.info(f"  data {_describe_data(need)}")
    check_memory(plan, left, registry, resources.device)
    to_do = len(left.all_trials)
    cached = len(plan.all_trials) - to_do
    estimate = seconds(plan, left, store, registry, resources)
    terminal.info(f"  cached {cached}, to do {to_do or 'none'}")
    if to_do:
        terminal.info(f"  about {clock(estimate)} on {_describe(resources)}")
    if estimate is None:
        terminal.info("  `initbench bench training` measures how fast this GPU is")
    return estimate


def _describe_data(need: DataNeed) -> str:
    memory = (
        "streamed from its files" if need.streamed else f"{byte_size(need.resident_bytes)} resident"
    )
    return f"{need.name}: {need.images:,} images of {need.size} x {need.size} pixels, {memory}"


def _describe(resources: Resources) -> str:
    count = len(resources.slots)
    together = resources.devices_per_trial
    each = f", {together} {resources.device} devices a trial" if together > 1 else ""
    if count == 0:
        return f"this process ({resources.device}){each}"
    return f"{count} {resources.device} worker{'' if count == 1 else 's'}{each}"
