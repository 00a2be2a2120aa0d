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
Scalar = int | float | str
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


class PlacedChoice(Choice):
    """Something that need not be on every data set."""

    only_on: list[str] | None = Field(
        default=None,
        min_length=1,
        description="The labels of the data sets for which it is meant; by default all.",
        examples=[["pcam"]],
    )

    def is_on(self, dataset: str) -> bool:
        """Say whether it is meant for the data set with this label."""
        return self.only_on is None or dataset in self.only_on


class RecipeChoice(_Configured):
    """A shipped recipe by name, with changes as further keys, or a whole recipe without `name`."""

    name: Name | None = None
    scale: Scale = Field(
        default=1.0,
        description="The share of its length to train for: epochs, milestones, warm-up and the "
        "time between evaluations shrink together.",
        examples=[0.1],
    )


class InitialiserChoice(PlacedChoice):
    """An initialiser, the package that brings it, and a recipe where it needs one of its own."""

    own_recipe: RecipeChoice | None = Field(
        default=None,
        description="Changes to the recipe for this initialiser alone, such as the rate that was "
        "found best for it. They go before what models and data sets say, and stand beside its "
        "name in the results.",
        examples=[{"optimiser": {"lr": 0.001}}],
    )

    plugin: Name | None = Field(
        default=None,
        description="The pip package that provides it. Where it is not installed, the rest of the "
        "suite runs without this initialiser, and says so.",
        examples=["initbench-ghn"],
    )


class TrainedChoice(Choice):
    """A model or a data set, with the recipe that it needs where that differs from the suite's."""

    recipe: RecipeChoice | None = Field(
        default=None,
        description="Changes to the suite's recipe, or with `name` another recipe, for this one "
        "alone. What a model says goes before what a data set says.",
        examples=["harder2023_pcam"],
    )


class DatasetChoice(TrainedChoice):
    """A data set, with its own recipe if it needs one."""


class ModelChoice(TrainedChoice, PlacedChoice):
    """A model, with its own recipe if it needs one, and where it is trained if not everywhere."""


class MeasureChoice(PlacedChoice):
    """A measure, and where it is taken if not everywhere."""


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


ModelChoices = Annotated[list[ModelChoice], Field(min_length=1)]
DatasetChoices = Annotated[list[DatasetChoice], Field(min_length=1)]
MeasureChoices = Annotated[list[MeasureChoice], Field(min_length=1)]
InitialiserChoices = Annotated[list[InitialiserChoice], Field(min_length=1)]


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
    test: Literal["paired_t", "welch", "student_t"] = Field(
        default="paired_t",
        description="`paired_t` on shared seeds; `welch` or `student_t`, on independent groups, "
        "where a reproduced paper used it.",
    )
    family: Literal["reference", "all"] = Field(
        default="reference",
        description="Who is compared: each initialiser with the reference, or `all` with each "
        "other, too.",
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


class PublishedLink(_Strict):
    """A published experiment that the suite repeats, by name, or with what is called otherwise.

    Left of each colon stands what the paper says, right of it what this suite says. What has the
    same name on both sides needs no line.
    """

    experiment: Name = Field(
        description="A published experiment, docs/published.md lists them.",
        examples=["convergence_speed"],
    )
    only: dict[str, Scalar | list[Scalar]] = Field(
        default={},
        description="The part of the experiment that is meant, if not all of it.",
        examples=[{"epoch": 50}],
    )
    initialisers: dict[str, Label] = Field(
        default={},
        description="Published name to label, where they differ.",
        examples=[{"rand_he": "he"}],
    )
    models: dict[str, Label] = Field(
        default={}, description="Published name to label, where they differ."
    )
    datasets: dict[str, Label] = Field(
        default={}, description="Published name to label, where they differ."
    )
    measures: dict[str, Label] = Field(
        default={},
        description="Published metric to the measure here that stands for it, where it is not the "
        "one that the published table names; `{epoch}` and the like are filled in.",
        examples=[{"test_accuracy": "test_accuracy.last"}],
    )
    differs: list[Text] = Field(
        default=[],
        description="What is done otherwise than in the paper, a sentence each.",
        examples=[["The paper does not say which classes it left out; these are the last two."]],
    )

    @model_validator(mode="before")
    @classmethod
    def _experiment_alone(cls, value: Any) -> Any:
        return {"experiment": value} if isinstance(value, str) else value


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
    models: ModelChoices | None = None
    datasets: DatasetChoices | None = None
    initialisers: InitialiserChoices | None = None
    recipe: RecipeChoice | None = None
    seeds: Seeds | None = None
    measures: MeasureChoices | None = None
    comparisons: dict[str, Any] | None = None
    published: list[PublishedLink] | None = None


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
    models: ModelChoices = Field(description="The architectures to train.", examples=[["zoo_cnn"]])
    datasets: DatasetChoices = Field(
        description="The data sets to train and test on.", examples=[["digits"]]
    )
    initialisers: InitialiserChoices = Field(
        description="What is compared.", examples=[["default", {"name": "he", "mode": "fan_out"}]]
    )
    recipe: RecipeChoice = Field(
        description="How networks are trained: the same for all initialisers that say nothing "
        "else.",
        examples=["digits_quick"],
    )
    seeds: Seeds
    measures: MeasureChoices = Field(
        description="What is measured on each trained network.", examples=[["test_accuracy"]]
    )
    comparisons: Comparisons = Field(examples=[{"reference": "default"}])
    published: list[PublishedLink] = Field(
        default=[],
        description="The published experiments that the suite repeats.",
        examples=[["convergence_speed"]],
    )
    profiles: dict[Name, Overrides] = Field(
        default={}, description="Named sets of changes, chosen with `--profile`."
    )

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one, in whichever form they were given."""
        if isinstance(self.seeds, SeedRange):
            return list(range(self.seeds.first, self.seeds.first + self.seeds.count))
        return self.seeds if isinstance(self.seeds, list) else list(range(self.seeds))
