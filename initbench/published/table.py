"""The published table: numbers, figures and claims of the source papers, as one strict schema.

The table itself is `published_results.yaml` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from initbench.suite.expectations import suggestion
from initbench.suite.messages import Problem, as_error, problems_of, validate
from initbench.suite.yaml_reader import Node, NodePath, read_document, read_file

Scalar = int | float | str
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=60)]
Names = Annotated[list[Name], Field(min_length=1)]
Line = Annotated[str, Field(min_length=1, max_length=300)]
Settings = dict[Name, Annotated[list[Scalar], Field(min_length=1)]]
Kind = Literal[
    "highest", "lowest", "greater", "equivalent", "ordering", "all_runs_beat", "threshold"
]

ANY = "any"
"""Stands for the initialiser where a record is about all of them."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Paper(_Strict):
    """A source."""

    title: Line
    url: Annotated[str, Field(pattern=r"^https://\S+$")]


class Unit(_Strict):
    """What a printed unit is compared in: 58.6 percent are 58.6 times `factor` fractions."""

    unit: Line
    factor: Annotated[float, Field(gt=0)]


class Case(_Strict):
    """What a metric means in some experiments, if its measure has to be another there."""

    experiments: Names
    epoch: int | None = None
    config: dict[str, Scalar | None] = {}
    settings: dict[Name, str] = {}

    def fits(self, experiment: str, settings: Mapping[str, Scalar]) -> bool:
        """Say whether it is about a value of an experiment, measured at these settings."""
        at_epoch = self.epoch is None or settings.get("epoch") == self.epoch
        return experiment in self.experiments and at_epoch


class Metric(_Strict):
    """What a paper measured, and the measure of ours that is the same quantity."""

    measure: Name | None = None
    config: dict[str, Scalar | None] = {}
    settings: dict[Name, str] = {}
    cases: list[Case] = []
    of: Literal["trials", "mean_curve"] = "trials"
    unit: Line | None = None
    bound: Literal["upper"] | None = None

    def wanted(self, experiment: str, settings: Mapping[str, Scalar]) -> dict[str, Scalar | None]:
        """Return the configuration that our measure must have, by dotted key."""
        described: Metric | Case = next(
            (case for case in self.cases if case.fits(experiment, settings)), self
        )
        given = {
            key: settings[name] for name, key in described.settings.items() if name in settings
        }
        return {**described.config, **given}


class Result(_Strict):
    """One printed number."""

    experiment: Name
    dataset: Name
    model: Name
    initialiser: Name
    metric: Name
    unit: Line
    epoch: int | str | None
    mean: float
    std: Annotated[float, Field(ge=0)] | None
    n: Annotated[int, Field(ge=1)] | None
    source: Line
    threshold: float | None = None
    note: str = ""

    @property
    def settings(self) -> dict[str, Scalar]:
        """What the number was measured at."""
        known = {"threshold": self.threshold, "epoch": self.epoch}
        return {name: value for name, value in known.items() if value is not None}


class Figure(_Strict):
    """What a paper shows without printing the values."""

    experiment: Name
    source: Line
    metric: Name
    models: Names
    datasets: Names
    initialisers: Names
    settings: Settings = {}
    shown_as: Line


class Claim(_Strict):
    """What a paper says in words, in a form that can be checked (rules 105 to 112)."""

    id: Name
    experiment: Name
    statement: Line
    source: Line
    kind: Kind
    metric: Name
    models: Names
    datasets: Names
    settings: Settings = {}
    initialisers: Names
    others: list[Name] = []
    side: Literal["below", "above"] | None = None
    value: float | None = None
    unit: Line | None = None
    note: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        bounds = {"side": self.side, "value": self.value, "unit": self.unit}
        for name, value in bounds.items():
            if (value is None) == (self.kind == "threshold"):
                verb = "needs a" if value is None else "takes no"
                raise ValueError(f"a claim of the kind `{self.kind}` {verb} `{name}`")
        if self.kind == "ordering":
            if self.others or len(self.initialisers) < 2:
                raise ValueError("an `ordering` is of two `initialisers` or more, without `others`")
        elif not self.others and self.kind != "threshold":
            raise ValueError(f"a claim of the kind `{self.kind}` needs `others`")
        if twice := set(self.initialisers) & set(self.others):
            raise ValueError(f"`{sorted(twice)[0]}` is on both sides of the claim")
        return self


class PublishedTable(_Strict):
    """Everything that the source papers publish."""

    schema_version: Literal[2]
    papers: dict[Name, Paper]
    units: dict[Line, Unit]
    metrics: dict[Name, Metric]
    experiments: dict[Name, Line]
    results: list[Result]
    figures: list[Figure]
    claims: list[Claim]

    def unit(self, metric: str, printed: str) -> Unit:
        """Return what a printed unit of a metric is compared in."""
        unit, renamed = self.units[printed], self.metrics[metric].unit
        return unit if renamed is None else unit.model_copy(update={"unit": renamed})

    def names(self, experiment: str) -> dict[str, set[str]]:
        """Return the names that an experiment uses, by what they are names of."""
        found: dict[str, set[str]] = {
            kind: set() for kind in ("initialisers", "models", "datasets", "measures")
        }
        for result in self.results:
            if result.experiment == experiment:
                found["initialisers"].add(result.initialiser)
                found["models"].add(result.model)
                found["datasets"].add(result.dataset)
                found["measures"].add(result.metric)
        shown: list[Figure | Claim] = [*self.figures, *self.claims]
        for item in shown:
            if item.experiment == experiment:
                opponents = item.others if isinstance(item, Claim) else []
                found["initialisers"] |= {*item.initialisers, *opponents}
                found["models"] |= {*item.models}
                found["datasets"] |= {*item.datasets}
                found["measures"].add(item.metric)
        return found


def every(settings: Settings) -> list[dict[str, Scalar]]:
    """Return each combination of settings; one without any where there are none.

    >>> every({"severity": [1, 2]})
    [{'severity': 1}, {'severity': 2}]
    """
    return [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]


@cache
def published_table() -> PublishedTable:
    """Return the table that comes with initbench."""
    return read_table(Path(__file__).with_name("published_results.yaml"))


def read_table(path: Path) -> PublishedTable:
    """Read a table from a file.

    Raises:
        UserError: everything that is wrong with it, a line each with its place.
    """
    root = read_document(read_file(path, path.name), path.name)
    try:
        table = validate(PublishedTable, root.plain())
    except ValidationError as error:
        raise as_error(problems_of(error, PublishedTable.model_json_schema(), root)) from error
    if found := [*_unknown_names(table, root), *_repeated_ids(table, root)]:
        raise as_error(found)
    return table


def _unknown_names(table: PublishedTable, root: Node) -> Iterator[Problem]:
    known: dict[str, Sequence[str]] = {
        "experiment": list(table.experiments),
        "metric": list(table.metrics),
        "unit": list(table.units),
        "source": list(table.papers),
    }
    for section in ("results", "figures", "claims"):
        for i, item in enumerate(getattr(table, section)):
            for key, names in known.items():
                value = getattr(item, key, None)
                if value is None:
                    continue
                name = value.partition(":")[0] if key == "source" else value
                if name not in names:
                    what = "paper" if key == "source" else key
                    text = f"unknown {what} `{name}`; {suggestion(name, list(names))}"
                    yield Problem.at(root, (section, i, key), text)


def _repeated_ids(table: PublishedTable, root: Node) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, claim in enumerate(table.claims):
        path: NodePath = ("claims", i, "id")
        if claim.id in seen:
            yield Problem.at(root, path, f"the id `{claim.id}` is taken by another claim")
        seen.add(claim.id)
