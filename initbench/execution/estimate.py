"""How long a plan will take: from like trials in the store, else from a few measured steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from initbench.store.record import TrialStatus
from initbench.store.store import Store
from initbench.suite.plan import Plan
from initbench.suite.trial import Trial

if TYPE_CHECKING:
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry
    from initbench.training.estimate import DataShape

_START_UP_SECONDS = 5.0
"""A worker imports torch and reads the data before its first step (measured on two cores)."""


def seconds(
    plan: Plan, left: Plan, store: Store, registry: Registry, resources: Resources
) -> float | None:
    """Estimate the wall seconds that the rest `left` of a plan takes.

    None where no like trial is in the store and a GPU is to be used, whose speed a few steps on
    the CPU say nothing about. Raises UserError where the recipe does not fit data or device.
    """
    if not left.all_trials:
        return 0.0
    known = _known_seconds(plan.all_trials.values(), store)
    total = 0.0
    for kind, trials in _by_kind(left.all_trials.values()).items():
        if kind not in known and resources.device != "cpu":
            return None
        if kind not in known:
            known[kind] = _measured_seconds(trials[0], store, registry, resources.data_root)
        total += known[kind] * len(trials)
    return total / max(len(resources.slots), 1) + _START_UP_SECONDS


def _by_kind(trials: Iterable[Trial]) -> dict[tuple[str, str, str], list[Trial]]:
    """Group trials that take the same time: equal model, data and recipe."""
    groups: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[(str(trial.model.tree()), trial.data.key, str(trial.recipe))].append(trial)
    return groups


def _known_seconds(trials: Iterable[Trial], store: Store) -> dict[tuple[str, str, str], float]:
    known = {}
    for kind, group in _by_kind(trials).items():
        records = store.records([trial.key for trial in group]).values()
        times = [r.cost.wall_seconds for r in records if r.status is TrialStatus.DONE]
        if times:
            known[kind] = mean(times)
    return known


def _measured_seconds(trial: Trial, store: Store, registry: Registry, root: Path | None) -> float:
    """Measure a few steps on made-up images; the data set is only counted."""
    import torch

    from initbench.training.estimate import seconds_per_trial
    from initbench.training.recipe import Recipe

    model = registry.model(trial.model.name, trial.model.config).thing
    shape = _shape(trial, store, registry, root)
    with torch.random.fork_rng(devices=[]):
        network = model.laid_out(model.build(shape.channels, shape.image_size, shape.classes))
    return seconds_per_trial(network, shape, Recipe.model_validate(trial.recipe, strict=False))


def _shape(trial: Trial, store: Store, registry: Registry, root: Path | None) -> DataShape:
    from initbench.data.prepared import from_tensors, load
    from initbench.training.estimate import DataShape

    artifact = store.artifact(trial.data.key)
    if artifact is not None:
        return DataShape.of(from_tensors(store.tensors(artifact), artifact.description))
    reference = trial.data.dataset
    splits = load(registry.dataset(reference.name, reference.config).thing, root)
    return replace(DataShape.of(splits), image_size=trial.data.size)
