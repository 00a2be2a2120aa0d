"""Jobs: units of work, described by data so that any process can perform them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from initbench.suite.plan import Plan, data_needed
from initbench.suite.trial import DataReference, Fitting, Trial


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


Job = DataJob | FitJob | TrainJob


def job_of(tree: Mapping[str, Any]) -> Job:
    """Return the job that a description stands for."""
    match tree["kind"]:
        case "data":
            return DataJob(DataReference.of(tree["data"]))
        case "fit":
            return FitJob(Fitting.of(tree["fitting"]))
        case _:
            trials = tuple(Trial.of(identity) for identity in tree["trials"])
            return TrainJob(trials, tuple(tree["attempts"]))


def jobs_of(plan: Plan, earlier_attempts: Mapping[str, int]) -> list[Job]:
    """Return the jobs of a (pending) plan, in the order in which they should run.

    Each trial is a job of its own: on CPU, where stacks bring nothing, that spreads best.
    """
    jobs: list[Job] = [DataJob(data) for data in plan.data.values()]
    jobs += _train_jobs(plan.zoo_trials.values(), earlier_attempts)
    jobs += [FitJob(fitting) for fitting in plan.fittings.values()]
    jobs += _train_jobs(plan.trials.values(), earlier_attempts)
    return jobs


def _train_jobs(trials: Iterable[Trial], earlier: Mapping[str, int]) -> list[Job]:
    return [TrainJob((trial,), (earlier.get(trial.key, 0) + 1,)) for trial in trials]
