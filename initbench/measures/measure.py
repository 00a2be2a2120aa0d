"""The measure contract: a function of one record, or of all records of one cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, Literal

from initbench.plugin.initialiser import API_VERSION, Config, ConfigT

if TYPE_CHECKING:
    from initbench.store.record import Record

Direction = Literal["higher", "lower"]


class Measure(ABC, Generic[ConfigT]):
    """A number a trial, with the rule that scores a trial that diverged or failed.

    The docstring of a subclass gives formula and source.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    unit: str  # "fraction", "steps", ...; a configured variant may set its own in `__init__`
    direction: ClassVar[Direction]
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def label(self) -> str:
        """Return the name shown for this configured variant."""
        return self.name

    @abstractmethod
    def of_record(self, record: Record) -> float:
        """Return the value of a trial that is done; infinite where a target was missed."""

    @abstractmethod
    def worst(self, record: Record) -> float:
        """Return the worst admissible value: the score of a trial that diverged or failed."""

    def cap(self, record: Record) -> float | None:
        """Return the finite stand-in for an infinite value in tests of means, if there is one."""
        return None

    def of_population(self, records: Sequence[Record]) -> float | None:
        """Return a value of all trials of one cell that is not the mean of theirs, if defined."""
        return None

    def note(self, records: Sequence[Record]) -> str:
        """Return what readers of this measure must know about these trials; usually nothing."""
        return ""
