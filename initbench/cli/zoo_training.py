"""`initbench zoo train`: a population of networks, on its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import resource_options, results_option
from initbench.cli.terminal import Terminal

if TYPE_CHECKING:
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry
    from initbench.store.store import StoreWriter
    from initbench.suite.plan import Plan


@click.command(
    epilog="""\b
Examples:
  initbench zoo train zoo_cnn digits --recipe digits_quick --networks 20 --checkpoints all
  initbench zoo train zoo_cnn mnist --recipe schuerholt2022_mnist --networks 1000 \\
      --initialiser uniform --checkpoints 0-50
"""
)
@click.argument("model")
@click.argument("dataset")
@click.option("--recipe", required=True, metavar="NAME", help="How each network is trained.")
@click.option(
    "--networks", required=True, type=click.IntRange(min=1), metavar="N", help="How many."
)
@click.option(
    "--first-seed",
    type=click.IntRange(min=0),
    default=1_000_000,
    show_default=True,
    help="Seed of the first network; suites have their own below 1000000.",
)
@click.option(
    "--checkpoints",
    metavar="EPOCHS",
    help="Epochs whose weights are kept besides best and last: `0-50`, `0,21-25` or `all`.",
)
@click.option("--initialiser", default="default", show_default=True, metavar="NAME",
              help="The start of each network.")  # fmt: skip
@click.option(
    "--set",
    "settings",
    metavar="PATH=VALUE",
    multiple=True,
    help="Change a setting of model, dataset, initialiser or recipe, such as recipe.epochs=3 or "
    "dataset.subset.train=5000; may be repeated.",
)
@results_option
@resource_options
@click.option("--retry-failed", is_flag=True, help="Train again what failed.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@click.pass_obj
def train(
    terminal: Terminal,
    /,
    results: Path,
    device: str,
    workers: int | None,
    devices_per_trial: int,
    stack: bool | None,
    retry_failed: bool,
    dry_run: bool,
    **asked: Any,
) -> int:
    """Train a zoo of any MODEL on any DATASET.

    Exit codes are those of `run`. What was stopped, by whatever means, continues when the same
    command is given again; more networks of the same zoo are added to those that are there.
    """
    from initbench.cli.plan import identifying, show_plan
    from initbench.execution.run import forget_failed, forget_without_weights, resources
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store
    from initbench.zoo.plan import plan_zoo, zoo_source

    available = resources(device, workers, devices_per_trial, stack)
    registry = Registry.installed()
    source = zoo_source(registry, **asked)
    with identifying(terminal) as identify:
        plan = plan_zoo(source, registry, identify)
    if dry_run:
        show_plan(terminal, plan, Store(results), registry, available)
        return 0
    with Store(results).lock(f"zoo train {asked['model']} {asked['dataset']}") as writer:
        forget_without_weights(plan, writer)
        if retry_failed:
            forget_failed(plan, writer)
        return _train(terminal, plan, writer, registry, available)


def _train(
    terminal: Terminal,
    plan: Plan,
    writer: StoreWriter,
    registry: Registry,
    resources: Resources,
) -> int:
    from initbench.cli.plan import show_plan
    from initbench.cli.progress import RunProgress
    from initbench.cli.run import EXIT_TROUBLE, labels_of_pending
    from initbench.execution.run import execute
    from initbench.zoo.stored import LEAST, zoos_of

    estimate = show_plan(terminal, plan, writer, registry, resources)
    labels = labels_of_pending(plan, writer)
    try:
        with RunProgress(terminal, labels, estimate, lambda _: None) as progress:
            execute(plan, writer, registry, resources, progress)
    finally:
        for warning in [*writer.warnings, *registry.warnings]:
            terminal.warning(warning)
    records = writer.records(plan.trials)
    for found in zoos_of(records.values()):
        terminal.success(f"zoo {found.key[:12]}: {counted(found.counts)}")
        terminal.info(f"`initbench zoo show {found.key[:12]}` shows it")
    if len(records) < LEAST:
        terminal.info(f"a zoo has {LEAST} networks at least; ask for more with `--networks`")
    done = [record for record in records.values() if record.status.value == "done"]
    return 0 if len(done) == len(plan.trials) else EXIT_TROUBLE


def counted(counts: dict[str, int]) -> str:
    """Return how many trials ended in which way, for people."""
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
