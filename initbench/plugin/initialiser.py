"""The initialiser contract: what an author implements and what the harness hands over.

Nothing here imports torch, so a module that defines an initialiser may stay importable without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import torch

    from initbench.models.anatomy import Anatomy
    from initbench.plugin.coverage import CoverageMap
    from initbench.plugin.sources import FitInputs, Source

API_VERSION = 1
"""The version of the contract; a plugin that declares another one is refused by name."""


class Scope(StrEnum):
    """What an initialiser conditions on."""

    POINTWISE = "pointwise"
    LOCAL = "local"
    GLOBAL = "global"
    PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Citation:
    """Where a method, model or data set comes from."""

    text: str
    url: str | None = None


class Config(BaseModel):
    """Base of every typed configuration: strict numbers, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Support:
    """Whether an initialiser can initialise a model and, if not, why."""

    supported: bool
    reason: str = ""

    @classmethod
    def yes(cls) -> Support:
        return cls(True)

    @classmethod
    def no(cls, reason: str) -> Support:
        return cls(False, reason)


@dataclass(frozen=True)
class Target:
    """What is to be initialised, as far as it is known before anything is trained.

    `model` and `dataset` are the names and configurations that the suite resolved to, so that
    a source can ask for a zoo of the same model on the same data.
    """

    model: str
    model_config: Mapping[str, Any]
    dataset: str
    dataset_config: Mapping[str, Any]
    recipe: Mapping[str, Any]
    classes: int
    anatomy: Anatomy


@dataclass(frozen=True)
class Artifact:
    """The fitted state of an initialiser: named tensors and a description that is plain JSON.

    An author may put into the description whatever helps to judge a fit. Three things are known by
    name. `warnings`: texts that `initbench run` repeats. `diagnostics`: a table for `initbench
    artifacts show`, {"columns": [...], "rows": [[...], ...]}. And tensors called `examples.TITLE`,
    (number, height, width), are the rows of its picture, in the order of their titles.
    """

    tensors: Mapping[str, torch.Tensor]
    description: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Training images as the network will see them, for data-dependent initialisers."""

    images: torch.Tensor  # (images, channels, height, width), normalised
    labels: torch.Tensor  # (images,)


@dataclass(frozen=True)
class Initialisation:
    """Everything an initialiser may use besides its own configuration.

    `generator` is a CPU generator and the only permitted source of randomness.
    `batch` is there when `images_needed` asked for one, `artifact` when `sources` declared any.
    `seed` is the trial's, for an initialiser that hands out one of a set of networks.
    """

    anatomy: Anatomy
    generator: torch.Generator
    batch: Batch | None = None
    artifact: Artifact | None = None
    seed: int = 0


ConfigT = TypeVar("ConfigT", bound=Config)


class Initialiser(ABC, Generic[ConfigT]):
    """A rule that sets the starting weights of a model.

    Subclasses state `name`, `scope`, `summary`, `citation` and `Config` and implement
    `initialise`. Generative ones also declare `sources` and implement `fit`.
    An instance is one configured variant and holds no state besides its configuration.
    """

    name: ClassVar[str]
    scope: ClassVar[Scope]
    summary: ClassVar[str]
    citation: ClassVar[Citation]
    version: ClassVar[str | None] = None
    """Bump it when the weights drawn for a seed change. Without it, the identity of the
    initialiser is the digest of all source files of its distribution."""
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config
    fits_zoo_only: ClassVar[bool] = False
    """Whether `fit` depends on its sources alone. Its target is then what the networks of the first
    zoo are: their model, data and recipe; all targets share the artifact."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def supports(self, anatomy: Anatomy) -> Support:
        """Say whether a network of this anatomy can be initialised and, if not, why."""
        return Support.yes()

    def missing(self) -> str:
        """Say which file it needs and lacks, and how to get it (empty: none).

        A suite that names the package of the initialiser runs without it then, and says so.
        """
        return ""

    def images_needed(self) -> int:
        """Return how many training images `initialise` wants to see (0: none)."""
        return 0

    def sources(self, target: Target) -> tuple[Source, ...]:
        """Declare what `fit` learns from; the harness provides it, once for all trials."""
        return ()

    def fit_config(self) -> ConfigT:
        """Return the configuration that `fit` is called with: this one, but for what it ignores.

        Configurations that agree here share an artifact; with what is left out at its default,
        those that differ in how they use an artifact do.
        """
        return self.config

    def learns(self) -> bool:
        """Say whether `initialise` needs what `fit` returns."""
        return type(self).fit is not Initialiser.fit

    def fit(self, inputs: FitInputs) -> Artifact:
        """Learn from the declared sources; called once for an artifact, only if there are any."""
        raise NotImplementedError(f"`{self.name}` declares sources but does not implement `fit`")

    @abstractmethod
    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        """Set the parameters of `network` in place and say what was done to each of them."""
