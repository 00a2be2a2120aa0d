"""The measure contract: a number a trial, from its record or from what a probe saw of its network.

* `RecordMeasure`: a function of one record (accuracy, steps to a threshold).
* `NetworkMeasure`: a function of what a probe saw of one trial's network (dead units).
* `PopulationMeasure`: a function of what a probe saw of all trials of a cell together (ensembles,
  similarity). Such trials are no independent samples of it, so it gives each trial a pseudo-value.
* `CostMeasure`: a function of what a trial cost, and its initialiser before (device seconds).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal

from initbench.plugin.initialiser import API_VERSION, Config, ConfigT

if TYPE_CHECKING:
    from initbench.probes.correct_images import CorrectImages
    from initbench.probes.probe import Observation, Probe
    from initbench.store.record import Cost, Record

Direction = Literal["higher", "lower"]


class Measure(ABC, Generic[ConfigT]):
    """What all measures have; a measure is a subclass of one of the four kinds below.

    The docstring of a subclass gives formula and source.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    unit: str  # "fraction", "steps", ...; a configured variant may set its own in `__init__`
    direction: ClassVar[Direction]
    needs_classes: ClassVar[bool] = True
    """False for a measure that regressions have as well."""
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def label(self) -> str:
        """Return the name shown for this configured variant."""
        return self.name

    def misfit(self, recipe: Mapping[str, Any]) -> str | None:
        """Return why trials of a recipe will not have this measure; None where they will."""
        return None

    def cap(self, record: Record) -> float | None:
        """Return the finite stand-in for an infinite value in tests of means, if there is one."""
        return None

    def note(self, records: Sequence[Record]) -> str:
        """Return what readers of this measure must know about these trials; usually nothing."""
        return ""


class RecordMeasure(Measure[ConfigT]):
    """A number from each record, with the rule that scores one that diverged or failed."""

    @abstractmethod
    def of_record(self, record: Record) -> float:
        """Return the value of a trial that is done; infinite where a target was missed."""

    @abstractmethod
    def worst(self, record: Record) -> float:
        """Return the worst admissible value: the score of a trial that diverged or failed."""

    def of_population(self, records: Sequence[Record]) -> float | None:
        """Return a value of all trials of one cell that is not the mean of theirs, if defined."""
        return None

    def correct_images(self) -> CorrectImages | None:
        """Return what keeps which test images are classified correctly, where that is asked for.

        Comparisons of such a measure, a share of correct test images, have the noise of the finite
        test set beside them (rule 30).
        """
        return None


class NetworkMeasure(Measure[ConfigT]):
    """A number from what a probe of scope `trial` saw of one trial's network."""

    @abstractmethod
    def probe(self) -> Probe:
        """Return what has to be looked at."""

    @abstractmethod
    def of_observation(self, observation: Observation, record: Record) -> float | None:
        """Return the value of a trial; None where there was no network to look at."""

    @abstractmethod
    def worst(self, record: Record) -> float | None:
        """Return the score of a trial without a network, or None where there is no such number.

        Trials without a number are counted as failed, and are in no mean.
        """


@dataclass(frozen=True)
class PopulationValue:
    """What a population measure says of one cell."""

    value: float
    """The number that is printed."""
    pseudo_values: Mapping[int, float]
    """By seed, with `value` as their mean: what tests and intervals are made from."""
    parts: Sequence[float] = field(default=())
    """What box plots show: the value of each ensemble, of each pair."""


class PopulationMeasure(Measure[ConfigT]):
    """A number from what a probe of scope `cell` saw of all trials of a cell together."""

    @abstractmethod
    def probe(self) -> Probe:
        """Return what has to be looked at."""

    def part(self) -> str | None:
        """Return the named part of the test images that the value is of; None: all of them."""
        return None

    @abstractmethod
    def of_cell(
        self, observation: Observation, records: Mapping[int, Record]
    ) -> PopulationValue | None:
        """Return the value of a cell, from its records by seed; None where it is not defined.

        The rule by which trials that diverged or failed are scored belongs to the measure.
        """


class CostMeasure(Measure[ConfigT]):
    """A number from what a trial cost, and what its initialiser had cost before it."""

    @abstractmethod
    def of_costs(self, record: Record, before: Sequence[Cost] | None) -> float | None:
        """Return the value of a trial, whichever way it ended; None where it is not known.

        `before` are the costs of the fit and of the whole zoo behind it, which all trials of the
        cell share: empty where there was neither, None where one is not in the store.
        """


def probe_of(measure: Measure[Any]) -> Probe | None:
    """Return what has to be looked at for a measure; None where records say everything."""
    match measure:
        case NetworkMeasure() | PopulationMeasure():
            return measure.probe()
        case RecordMeasure():
            return measure.correct_images()
    return None
