"""How long a plan will take.

From like trials in the store, else from what `initbench bench training` or a calibration measured
on this machine, else from a few steps measured now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import mean
from typing import TYPE_CHECKING

from initbench.execution.calibration import Calibration
from initbench.store.record import TrialStatus
from initbench.store.store import Store
from initbench.suite.plan import Plan
from initbench.suite.trial import Trial

if TYPE_CHECKING:
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry

_START_UP_SECONDS = 5.0
"""A worker imports torch and reads the data before its first step (measured on two cores)."""


def seconds(
    plan: Plan, left: Plan, store: Store, registry: Registry, resources: Resources
) -> float | None:
    """Estimate the wall seconds that the rest `left` of a plan takes.

    None where a GPU is to be used that has no like trial in the store, nor any in the benchmark:
    a few steps on the CPU say nothing about it. Raises UserError where the recipe does not fit data
    or device.
    """
    if not left.all_trials:
        return 0.0
    known = _known_seconds(plan.all_trials.values(), store)
    calibration = Calibration(plan, registry, resources)
    total = 0.0
    for kind, trials in _by_kind(left.all_trials.values()).items():
        each = known.get(kind) or calibration.known_seconds(trials[0], len(trials))
        if each is None and resources.device != "cpu":
            return None
        total += (each or _measured_seconds(trials[0], calibration)) * len(trials)
    at_once = max(len(resources.slots), 1) * resources.devices_per_trial
    return total / at_once + _START_UP_SECONDS


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
        done = [record.cost for record in records if record.status is TrialStatus.DONE]
        times = [cost.wall_seconds * cost.devices / cost.stack_size for cost in done]
        if times:
            known[kind] = mean(times)
    return known


def _measured_seconds(trial: Trial, calibration: Calibration) -> float:
    """Measure a few steps on made-up images."""
    from initbench.training.estimate import seconds_per_trial
    from initbench.training.recipe import Recipe

    recipe = Recipe.model_validate(trial.recipe, strict=False)
    return seconds_per_trial(calibration.network(trial), calibration.shape(trial), recipe)
