"""The manifest: a suite as it was run, enough to make tables and the page without any plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from initbench.store.identity import digest

MANIFEST_FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InitialiserNote(_Part):
    """What readers should know about one initialiser of the suite."""

    label: str
    name: str
    config: dict[str, Any]
    scope: str
    summary: str
    citation: str
    url: str | None
    distribution: str
    distribution_version: str
    own_recipe: dict[str, Any] = {}  # changes to the recipe of the others


class DatasetNote(_Part):
    """What readers should know about one data set of the suite, or of what it learns from."""

    label: str
    name: str
    config: dict[str, Any]
    summary: str
    citation: str
    url: str | None
    licence: str
    fingerprint: str
    images: dict[str, int]  # by split
    marks: list[str] = []  # a few words each that stand beside every number: `unofficial data`
    remarks: list[str] = []  # the marks with their reasons


class MeasureNote(_Part):
    """A measure of the suite with its complete configuration."""

    name: str
    config: dict[str, Any]
    label: str
    only_on: list[str] | None = None  # labels of data sets; None: on all

    def taken_on(self, dataset: str) -> bool:
        """Say whether it is taken on the data set with this label."""
        return self.only_on is None or dataset in self.only_on


class TrialEntry(_Part):
    """Where one trial stands in the suite."""

    key: str
    initialiser: str  # label
    model: str  # label
    dataset: str  # label
    seed: int
    artifact: str | None = None


class ObservationEntry(_Part):
    """Where one observation stands in the suite."""

    key: str
    measures: list[str]  # labels of those that it serves
    initialiser: str  # label
    model: str  # label
    dataset: str  # label
    seed: int | None = None  # None: of all trials of the cell together
    images: str | None = None  # label of the data set looked at; None: that of the cell


class PublishedNote(_Part):
    """A published experiment that the suite repeats: what the paper calls what the suite has."""

    experiment: str
    only: dict[str, Any] = {}
    initialisers: dict[str, str] = {}  # published name -> label
    models: dict[str, str] = {}
    datasets: dict[str, str] = {}
    measures: dict[str, str] = {}
    differs: list[str] = []


class SuiteManifest(_Part):
    """A suite, expanded: what was asked, what it is made of, and which trials answer it."""

    format: int = MANIFEST_FORMAT
    name: str  # the file's name without suffix
    profile: str | None
    reduced: bool
    title: str
    question: str
    citation: str | None
    command: str  # that reproduces it
    source: str  # the YAML text
    overrides: list[str]
    seeds: list[int]
    reference: str
    test: Literal["paired_t", "welch", "student_t"]
    family: Literal["reference", "all"] = "reference"  # who is compared
    correction: Literal["holm", "bonferroni", "none"]
    confidence: float
    margins: dict[str, float]  # by measure label
    measures: list[MeasureNote]
    initialisers: list[InitialiserNote]
    not_installed: dict[str, str] = {}  # label of an initialiser left out -> what would bring it
    datasets: list[DatasetNote] = []
    trials: list[TrialEntry]
    observations: list[ObservationEntry] = []
    published: list[PublishedNote] = []
    zoos: dict[str, list[str]] = {}  # artifact key -> keys of the zoo trials behind it

    @property
    def id(self) -> str:
        """A short digest by which page, MLflow and file name know this variant of the suite."""
        return manifest_id(self.name, self.profile, self.overrides)


def manifest_id(name: str, profile: str | None, overrides: Sequence[str]) -> str:
    """Return the id of a variant of a suite; the order of overrides does not matter."""
    return digest({"name": name, "profile": profile, "overrides": sorted(overrides)})[:16]
