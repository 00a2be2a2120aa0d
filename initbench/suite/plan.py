"""Plans: the jobs a suite amounts to, as a directed acyclic graph.

`pending` drops, from the leaves up, whatever the store already holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from initbench.store.manifest import SuiteManifest
from initbench.suite.trial import DataReference, Fitting, Observing, Trial

if TYPE_CHECKING:
    from initbench.data.dataset import SplitName


@dataclass(frozen=True)
class Plan:
    """What a suite amounts to: its own trials, and what they need."""

    manifest: SuiteManifest
    trials: dict[str, Trial]  # by key, in the order in which they should run
    zoo_trials: dict[str, Trial]
    fittings: dict[str, Fitting]
    data: dict[str, DataReference]
    split_sizes: dict[str, Mapping[SplitName, int]]  # by key of the data: images of each split
    observations: dict[str, Observing] = field(default_factory=dict)

    @cached_property
    def all_trials(self) -> dict[str, Trial]:
        """Zoo trials first: others wait for what is learnt from them."""
        return {**self.zoo_trials, **self.trials}

    def pending(
        self,
        is_done: Callable[[str], bool],
        can_teach: Callable[[str], bool],
        has_artifact: Callable[[str], bool],
    ) -> Plan:
        """Return the part of this plan that remains to be done.

        `is_done` tells whether a trial's record stands, `can_teach` whether its weights are there
        as well, should it have left any, and `has_artifact` whether a fitted state, prepared
        data set or observation is stored.
        """
        observations = {k: o for k, o in self.observations.items() if not has_artifact(k)}
        looked_at = {key for observing in observations.values() for key in observing.trials}
        trials = {
            key: trial
            for key, trial in self.trials.items()
            if not is_done(key) or (key in looked_at and not can_teach(key))
        }
        zoo_trials: dict[str, Trial] = {}
        fittings: dict[str, Fitting] = {}
        wanted = [trial.artifact for trial in trials.values() if trial.artifact]
        while wanted:
            key = wanted.pop()
            if key in fittings or has_artifact(key):
                continue
            fittings[key] = self.fittings[key]
            for zoo_key in self.fittings[key].zoo_trials:
                if zoo_key not in zoo_trials and not can_teach(zoo_key):
                    zoo_trials[zoo_key] = self.all_trials[zoo_key]
                    if artifact := zoo_trials[zoo_key].artifact:
                        wanted.append(artifact)
        needed = {t.data.key for t in [*trials.values(), *zoo_trials.values()]}
        for fitting in fittings.values():
            needed |= set(data_needed(fitting))
        for observing in observations.values():
            needed |= {observing.data.key, observing.trained_on}
        data = {k: v for k, v in self.data.items() if k in needed and not has_artifact(k)}
        return replace(
            self,
            trials=trials,
            zoo_trials=zoo_trials,
            fittings=fittings,
            data=data,
            observations=observations,
        )


def data_needed(fitting: Fitting) -> Iterator[str]:
    """Yield the keys of the prepared data that a fitting reads."""
    yield fitting.data.key
    for source in fitting.sources:
        if source["kind"] == "data":
            yield DataReference.of(source["data"]).key
