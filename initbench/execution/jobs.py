"""Jobs: units of work, described by data so that any process can perform them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from initbench.suite.plan import Plan, data_needed
from initbench.suite.trial import DataReference, Fitting, Observing, Trial


@dataclass(frozen=True)
class DataJob:
    """Prepare a data set: read, check, resize, store as tensors."""

    data: DataReference

    @property
    def id(self) -> str:
        return self.data.key

    @property
    def needs(self) -> frozenset[str]:
        return frozenset()

    def tree(self) -> dict[str, Any]:
        """Return the description that travels to a worker."""
        return {"kind": "data", "data": self.data.tree()}


@dataclass(frozen=True)
class FitJob:
    """Fit a generative initialiser."""

    fitting: Fitting

    @property
    def id(self) -> str:
        return self.fitting.key

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({*self.fitting.zoo_trials, *data_needed(self.fitting)})

    def tree(self) -> dict[str, Any]:
        """Return the description that travels to a worker."""
        return {"kind": "fit", "fitting": self.fitting.identity}


@dataclass(frozen=True)
class TrainJob:
    """Train a stack of trials that share model, data and recipe.

    `attempts[i]` counts how often trial `i` was begun, this time included.
    """

    trials: tuple[Trial, ...]
    attempts: tuple[int, ...] = field(compare=False)

    @property
    def id(self) -> str:
        return self.trials[0].key

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(
            key for trial in self.trials for key in (trial.data.key, trial.artifact) if key
        )

    def tree(self) -> dict[str, Any]:
        """Return the description that travels to a worker."""
        return {
            "kind": "train",
            "trials": [trial.identity for trial in self.trials],
            "attempts": list(self.attempts),
        }


@dataclass(frozen=True)
class ObserveJob:
    """Look at trained networks."""

    observing: Observing

    @property
    def id(self) -> str:
        return self.observing.key

    @property
    def needs(self) -> frozenset[str]:
        observing = self.observing
        return frozenset({*observing.trials, observing.data.key, observing.trained_on})

    def tree(self) -> dict[str, Any]:
        """Return the description that travels to a worker."""
        return {"kind": "observe", "observing": self.observing.tree()}


Job = DataJob | FitJob | TrainJob | ObserveJob


def job_of(tree: Mapping[str, Any]) -> Job:
    """Return the job that a description stands for."""
    match tree["kind"]:
        case "data":
            return DataJob(DataReference.of(tree["data"]))
        case "fit":
            return FitJob(Fitting.of(tree["fitting"]))
        case "observe":
            return ObserveJob(Observing.of(tree["observing"]))
        case _:
            trials = tuple(Trial.of(identity) for identity in tree["trials"])
            return TrainJob(trials, tuple(tree["attempts"]))


StackSize = Callable[[Trial, int], int]
"""Says how many trials make a job, given one of them and the number of those like it."""


def jobs_of(
    plan: Plan, earlier_attempts: Mapping[str, int], stack_size: StackSize = lambda *_: 1
) -> list[Job]:
    """Return the jobs of a (pending) plan, in the order in which they should run."""
    jobs: list[Job] = [DataJob(data) for data in plan.data.values()]
    jobs += _train_jobs(plan.zoo_trials.values(), earlier_attempts, stack_size)
    jobs += [FitJob(fitting) for fitting in plan.fittings.values()]
    jobs += _train_jobs(plan.trials.values(), earlier_attempts, stack_size)
    jobs += [ObserveJob(observing) for observing in plan.observations.values()]
    return jobs


def stacks_of(trials: Iterable[Trial], stack_size: StackSize) -> list[tuple[Trial, ...]]:
    """Group trials that can be one stack: equal model, data, recipe and fitted state.

    Within a group trials keep their order, seeds first, and stacks are about equally large. The
    stacks are in the order of their first trials.
    """
    groups: dict[tuple[str, ...], list[Trial]] = {}
    order = {}
    for position, trial in enumerate(trials):
        order[trial.key] = position
        groups.setdefault(_alike(trial), []).append(trial)
    stacks: list[tuple[Trial, ...]] = []
    for group in groups.values():
        count = -(-len(group) // stack_size(group[0], len(group)))
        edges = [len(group) * i // count for i in range(count + 1)]
        stacks += [tuple(group[start:end]) for start, end in pairwise(edges)]
    return sorted(stacks, key=lambda stack: order[stack[0].key])


def _alike(trial: Trial) -> tuple[str, ...]:
    # With different fitted states, a stack would wait for all of them and be lost with any.
    return (str(trial.model.tree()), trial.data.key, str(trial.recipe), trial.artifact or "")


def _train_jobs(
    trials: Iterable[Trial], earlier: Mapping[str, int], stack_size: StackSize
) -> list[Job]:
    return [
        TrainJob(stack, tuple(earlier.get(trial.key, 0) + 1 for trial in stack))
        for stack in stacks_of(trials, stack_size)
    ]
