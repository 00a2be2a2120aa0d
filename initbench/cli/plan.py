"""`initbench plan`: what `run` would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    from initbench.suite.planned_data import Identify
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
    from initbench.suite.expansion import expand

    with identifying(terminal) as identify:
        return expand(loaded, registry, identify)


@contextmanager
def identifying(terminal: Terminal) -> Iterator[Identify]:
    """Give what tells which images data sets have in the user's data folder; say what it does."""
    from initbench.data.identify import identify
    from initbench.execution.run import data_root

    with Working(terminal) as working:

        def identified(dataset: DataSet[Any], reference: Reference) -> Identified:
            return identify(dataset, reference.tree(), data_root(), working)

        yield identified


def show_plan(
    terminal: Terminal, plan: Plan, store: Store, registry: Registry, resources: Resources
) -> float | None:
    """Say what there is to do and how long it will take; return the estimate in seconds."""
    from initbench.execution.calibration import Calibration
    from initbench.execution.estimate import STEPS, estimated
    from initbench.execution.memory import check_memory, data_needs, model_remarks
    from initbench.execution.run import pending

    left = pending(plan, store)
    manifest = plan.manifest
    counts = [f"{len(plan.trials)} trials"]
    if plan.zoo_trials:
        counts.append(f"{len(plan.zoo_trials)} zoo trials")
    if plan.fittings:
        counts.append(f"{len(plan.fittings)} fittings")
    if plan.observations:
        counts.append(f"{len(plan.observations)} observations")
    profile = f", profile {manifest.profile}" if manifest.profile else ""
    cells = {(t.model, t.dataset) for t in manifest.trials}
    terminal.info(f"{manifest.title} ({manifest.name}{profile})")
    terminal.info(
        f"  {len(manifest.initialisers)} initialisers x {len(manifest.seeds)} seeds x "
        f"{len(cells)} model and data set = {', '.join(counts)}"
    )
    for label, how in manifest.not_installed.items():
        terminal.warning(f"`{label}` is left out: {how}")
    for need in data_needs(plan, left, registry):
        terminal.info(f"  data {_describe_data(need)}")
    for remark in model_remarks(plan, registry):
        terminal.info(f"  model {remark}")
    check_memory(plan, left, registry, resources.device)
    to_do = len(left.all_trials)
    cached = len(plan.all_trials) - to_do
    looks = f", {len(left.observations)} observations" if left.observations else ""
    terminal.info(f"  cached {cached}, to do {to_do or 'none'}{looks}")
    for choice in Calibration(plan, registry, resources).choices(left.all_trials.values()):
        terminal.info(f"  {choice}")
    estimate = estimated(plan, left, store, registry, resources)
    if to_do:
        sources = f", from {' and '.join(estimate.sources)}" if estimate.sources else ""
        terminal.info(f"  about {clock(estimate.seconds)} on {_describe(resources)}{sources}")
    if estimate.seconds is None or STEPS in estimate.sources:
        terminal.info("  `initbench bench training` measures how fast this machine is")
    _show_power(terminal, plan, store, registry)
    return estimate.seconds


def _show_power(terminal: Terminal, plan: Plan, store: Store, registry: Registry) -> None:
    """Say which differences the seeds of the suite can show (rule 26)."""
    from initbench import formatting
    from initbench.reporting.detectable import detectable
    from initbench.reporting.observed import Observed

    manifest = plan.manifest
    measures = [registry.measure(m.name, m.config).thing for m in manifest.measures]
    records = store.records({entry.key for entry in manifest.trials})
    families = detectable(manifest, records, measures, Observed.of(store, manifest))
    of = "differences within pairs" if manifest.test == "paired_t" else "one initialiser"
    for found in families:
        if not found.comparisons:
            continue
        compared = _counted(found.comparisons, "comparison")
        what = f"  {found.measure}: {compared} of {_counted(found.seeds, 'seed')}"
        find = "finds" if found.comparisons == 1 else "find"
        if found.in_deviations is None:
            terminal.info(f"{what} can show nothing: two seeds are the least")
        elif found.difference is None:
            terminal.info(
                f"{what} {find} {found.in_deviations:.2f} standard deviations of {of} (80 % power)"
            )
        else:
            size = formatting.value(found.difference, found.unit)
            unit = formatting.unit_of_differences(found.unit)
            terminal.info(
                f"{what} {find} {size} {unit}".rstrip()
                + " (80 % power, at the deviation of "
                + f"{_counted(found.seen_on, 'comparison')} with records)"
            )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


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
