"""The parts of a board: what the template shows, as text and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from initbench import formatting
from initbench.results import Verdict


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, and the number by which its column is sorted."""

    text: str
    sort: float | str | None = None  # None: at the end, whichever way the column is sorted

    @classmethod
    def number(cls, text: str, x: float | None) -> Cell:
        """Return a cell that is sorted by `x`, written as JavaScript reads it."""
        if x is None or math.isnan(x):
            return cls(text)
        return cls(text, ("Infinity" if x > 0 else "-Infinity") if math.isinf(x) else x)


@dataclass(frozen=True)
class Source:
    """An entry of the list of sources, shared by all variants of one initialiser."""

    number: int
    text: str
    url: str | None  # https only
    plugin: str
    labels: list[str]


@dataclass(frozen=True)
class Name:
    """An initialiser as it is shown at the beginning of a line."""

    label: str
    scope: str
    source: Source | None
    is_reference: bool


@dataclass(frozen=True)
class Compared:
    """A comparison with the reference, as a part of a line."""

    difference: Cell
    interval: str
    p: Cell
    effect: Cell
    verdict: Verdict
    mark: formatting.Mark
    more_seeds: str
    note: str


@dataclass(frozen=True)
class Line:
    """An initialiser in the table of one measure."""

    name: Name
    rank: Cell
    mean: Cell
    interval: str  # the median where the mean is not defined, nothing where neither is
    trials: Cell
    failed: Cell
    note: str
    compared: Compared | None


@dataclass(frozen=True)
class Between:
    """A comparison of two initialisers neither of which is the reference."""

    first: str
    second: str
    compared: Compared


@dataclass(frozen=True)
class Table:
    """All initialisers through one measure, the best first."""

    measure: int
    label: str
    unit: str
    unit_of_differences: str
    direction: str
    margin: str
    lines: list[Line]
    notes: list[str]  # what is to be said of every line alike
    tally: list[tuple[formatting.Mark, Verdict, int]]
    forest: Markup | None
    boxes: Markup | None
    of_parts: bool  # whether boxes are of ensembles or pairs, not of trials
    survival: Markup | None
    on_survival: str  # what is to be said of the plot of survival
    layers: Markup | None
    on_layers: list[str]  # what is to be said of the plot of layers
    histograms: Markup | None
    on_histograms: str  # what is to be said of them
    training: Markup | None  # layers over training
    on_training: str
    between: list[Between]
    sensitivity: list[tuple[str, list[tuple[str, str]]]]


@dataclass(frozen=True)
class Origin:
    """What one initialiser did to the model, and what that cost."""

    name: Name
    bar: Markup | None
    generated: Cell
    coverage: str
    trial_seconds: Cell
    alone: bool  # nothing else ran on the device, so that times may be compared
    initialise_seconds: Cell
    energy: Cell  # of one trial
    fit_seconds: Cell
    zoo_seconds: Cell
    break_even: Cell


@dataclass(frozen=True)
class Board:
    """Everything about one model and data set."""

    id: str
    model: str
    dataset: str
    marks: list[str]  # of the data set, such as `unofficial data`
    tables: list[Table]
    convergence: Markup | None
    quantity: str  # of its curves
    losses: Markup | None
    last_layer: Markup | None
    on_last_layer: str  # its name, and what is to be said of it
    origins: list[Origin]
    incomplete: list[tuple[str, str]]  # initialiser and reason

    @property
    def has_energy(self) -> bool:
        """Whether the energy of any trial on this board is known."""
        return any(origin.energy.sort is not None for origin in self.origins)

    @property
    def all_shared(self) -> bool:
        """Whether no time on this board may be compared."""
        return not any(origin.alone for origin in self.origins)
