"""How long a plan will take.

From like trials in the store, else from what `initbench bench training` or a calibration measured
on this machine, else from a few steps measured now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from initbench.errors import MisfitError, UserError
from initbench.execution.calibration import Calibration, by_kind
from initbench.store.record import TrialStatus
from initbench.store.store import Store
from initbench.suite.plan import Plan
from initbench.suite.trial import Trial

if TYPE_CHECKING:
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry

_START_UP_SECONDS = 5.0
"""A worker imports torch and reads the data before its first step (measured on two cores)."""


@dataclass(frozen=True)
class Estimate:
    """How long the rest of a plan takes."""

    seconds: float | None
    """Wall seconds; None where a GPU is to be used about which nothing is known."""
    sources: tuple[str, ...]
    """What it is made from: `RECORDS`, `SPEEDS`, `STEPS`."""


RECORDS = "like trials that were done"
SPEEDS = "speeds measured on this machine"
STEPS = "a few steps taken now"


def estimated(
    plan: Plan, left: Plan, store: Store, registry: Registry, resources: Resources
) -> Estimate:
    """Estimate the wall seconds that the rest `left` of a plan takes.

    Nothing is known where a GPU is to be used that has no like trial in the store, nor any in the
    benchmark: a few steps on the CPU say nothing about it. Raises UserError where the recipe does
    not fit data or device.
    """
    if not left.all_trials:
        return Estimate(0.0, ())
    known = _known_seconds(plan.all_trials.values(), store)
    calibration = Calibration(plan, registry, resources)
    total, sources = 0.0, set()
    for kind, trials in by_kind(left.all_trials.values()).items():
        if kind in known:
            each, source = known[kind], RECORDS
        elif (measured := calibration.known_seconds(trials[0], len(trials))) is not None:
            each, source = measured, SPEEDS
        elif resources.device == "cpu":
            each, source = _measured_seconds(trials[0], calibration), STEPS
        else:
            return Estimate(None, ())
        total += each * len(trials)
        sources.add(source)
    at_once = max(len(resources.slots), 1) * resources.devices_per_trial
    return Estimate(total / at_once + _START_UP_SECONDS, tuple(sorted(sources)))


def _known_seconds(trials: Iterable[Trial], store: Store) -> dict[tuple[str, str, str], float]:
    known = {}
    for kind, group in by_kind(trials).items():
        records = store.records([trial.key for trial in group]).values()
        done = [record.cost for record in records if record.status is TrialStatus.DONE]
        times = [cost.wall_seconds * cost.devices / cost.stack_size for cost in done]
        if times:
            known[kind] = mean(times)
    return known


def _measured_seconds(trial: Trial, calibration: Calibration) -> float:
    """Measure a few steps on made-up images; 0 where a trial will end in its first step.

    What is wrong with a model, or with its recipe on these data, is for the trial's record.
    """
    from initbench.training.estimate import seconds_per_trial
    from initbench.training.recipe import Recipe

    recipe = Recipe.model_validate(trial.recipe, strict=False)
    try:
        return seconds_per_trial(calibration.network(trial), calibration.shape(trial), recipe)
    except Exception as error:
        if isinstance(error, UserError) and not isinstance(error, MisfitError):
            raise
        return 0.0
