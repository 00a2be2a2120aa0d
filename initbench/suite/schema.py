"""The suite language: what a suite file may say.

A suite names models, data sets, initialisers, a recipe, seeds, measures and comparisons; its
profiles override any of these. Names are resolved against the installed plugins later, when the
suite is expanded into a plan. Docstrings, descriptions and examples here are what editors show
(`initbench suite schema`) and what error messages quote.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_./-]*$"
LINE_PATTERN = r"^\S(.*\S)?$"
LABEL_PATTERN = r'^[^\s"]([^"\n]*[^\s"])?$'

SEED_LIMIT = 1_000_000
"""Seeds from here on belong to the networks of zoos, which no comparison may contain."""
MOST_SEEDS = 100_000

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
Label = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=60)]
Title = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=LINE_PATTERN, max_length=200)
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT)]
SeedCount = Annotated[int, Field(ge=1, le=MOST_SEEDS)]
Margin = Annotated[float, Field(gt=0)]
Scale = Annotated[float, Field(gt=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Configured(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def config(self) -> dict[str, Any]:
        """The keys besides those declared here: the configuration of the named thing."""
        return dict(self.__pydantic_extra__ or {})


class Choice(_Configured):
    """A name, or a mapping with `name`, an optional `label`, and its configuration.

    `he` and `{name: he, mode: fan_out, label: He (fan-out)}` are both a choice. The configuration
    is checked against what the named thing declares when the suite is expanded.
    """

    name: Name
    label: Label | None = None
    """What tables call it; needed only to replace the automatic label."""


class RecipeChoice(_Configured):
    """A shipped recipe by name, with changes as further keys, or a whole recipe without `name`."""

    name: Name | None = None
    scale: Scale = Field(
        default=1.0,
        description="The share of its length to train for: epochs, milestones, warm-up and the "
        "time between evaluations shrink together.",
        examples=[0.1],
    )


def label_of(choice: Choice) -> str:
    """Return what a choice is called in tables, on the command line and as `reference`.

    >>> label_of(Choice.model_validate("he"))
    'he'
    >>> label_of(Choice.model_validate({"name": "he", "mode": "fan_out"}))
    'he(mode=fan_out)'
    """
    if choice.label is not None:
        return choice.label
    if not choice.config:
        return choice.name
    settings = ", ".join(f"{key}={_short(value)}" for key, value in sorted(choice.config.items()))
    return f"{choice.name}({settings})"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Choices = Annotated[list[Choice], Field(min_length=1)]


class SeedRange(_Strict):
    """The seeds `first`, `first + 1`, ... of which there are `count`."""

    first: Seed = 0
    count: SeedCount


def _form_of_seeds(value: Any) -> str:
    if isinstance(value, dict | SeedRange):
        return "range"
    return "list" if isinstance(value, list) else "count"


Seeds = Annotated[
    Annotated[SeedRange, Tag("range")]
    | Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS), Tag("list")]
    | Annotated[SeedCount, Tag("count")],
    Discriminator(_form_of_seeds),
    Field(
        description="How many seeds (counted from 0), which ones, or `{first: 100, count: 10}`.",
        examples=[10],
    ),
]


class Comparisons(_Strict):
    """The statistical tests of a suite, fixed before any of its trials runs."""

    reference: str = Field(
        description="The label of the initialiser that all others are compared with.",
        examples=["default"],
    )
    test: Literal["paired_t", "welch"] = Field(
        default="paired_t",
        description="`paired_t` on shared seeds, or `welch` where a reproduced paper used it.",
    )
    correction: Literal["holm", "bonferroni", "none"] = Field(
        default="holm",
        description="For the number of comparisons: all of one measure are one family.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="Of intervals; p below 1 - confidence is significant."
    )
    margins: dict[str, Margin] = Field(
        default={},
        description="By measure: differences smaller than this are of no practical importance.",
        examples=[{"test_accuracy": 0.01}],
    )


class Overrides(_Strict):
    """What a profile changes: each part given here replaces that of the suite.

    `comparisons`, and a `recipe` without `name`, are merged key by key instead.
    """

    reduced: bool = Field(
        default=True, description="Whether its results are marked as reduced wherever they appear."
    )
    title: Title | None = None
    question: Text | None = None
    citation: Text | None = None
    models: Choices | None = None
    datasets: Choices | None = None
    initialisers: Choices | None = None
    recipe: RecipeChoice | None = None
    seeds: Seeds | None = None
    measures: Choices | None = None
    comparisons: dict[str, Any] | None = None


class Suite(_Strict):
    """One declarative experiment: what is compared, how it is trained and how it is judged."""

    title: Title = Field(
        description="Names the experiment in tables and on the page.",
        examples=["Classical initialisers on digits"],
    )
    question: Text = Field(
        description="What the experiment is to find out, in a sentence.",
        examples=["Does the choice of initialiser matter for a small CNN?"],
    )
    citation: Text | None = Field(
        default=None, description="The paper that the experiment reproduces, if there is one."
    )
    models: Choices = Field(description="The architectures to train.", examples=[["zoo_cnn"]])
    datasets: Choices = Field(
        description="The data sets to train and test on.", examples=[["digits"]]
    )
    initialisers: Choices = Field(
        description="What is compared.", examples=[["default", {"name": "he", "mode": "fan_out"}]]
    )
    recipe: RecipeChoice = Field(
        description="How networks are trained: the same for all initialisers.",
        examples=["digits_quick"],
    )
    seeds: Seeds
    measures: Choices = Field(
        description="What is measured on each trained network.", examples=[["test_accuracy"]]
    )
    comparisons: Comparisons = Field(examples=[{"reference": "default"}])
    profiles: dict[Name, Overrides] = Field(
        default={}, description="Named sets of changes, chosen with `--profile`."
    )

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one, in whichever form they were given."""
        if isinstance(self.seeds, SeedRange):
            return list(range(self.seeds.first, self.seeds.first + self.seeds.count))
        return self.seeds if isinstance(self.seeds, list) else list(range(self.seeds))
