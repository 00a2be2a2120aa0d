"""Sources: what a generative initialiser learns from, declared so that the planner provides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

    from initbench.data.dataset import ImageSplits
    from initbench.plugin.initialiser import Target


@dataclass(frozen=True)
class ZooSource:
    """A population of trained networks: trials like any others, so suites share them.

    Left out, the model, data set and recipe are those of the target. A recipe is a name, a whole
    recipe, or changes to the one with its `name`.
    """

    count: int
    model: str | None = None
    model_config: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | None = None
    dataset_config: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] | str | None = None
    initialiser: str = "default"
    initialiser_config: Mapping[str, Any] = field(default_factory=dict)
    first_seed: int = 1_000_000
    """Zoo seeds stay clear of the seeds of the comparison, so no test network is in the zoo."""


@dataclass(frozen=True)
class DataSource:
    """Training images of a data set (left out: the target's)."""

    dataset: str | None = None
    dataset_config: Mapping[str, Any] = field(default_factory=dict)


Source = ZooSource | DataSource


@dataclass(frozen=True)
class ZooMember:
    """One trained network of a zoo."""

    seed: int
    best: Mapping[str, torch.Tensor]
    last: Mapping[str, torch.Tensor]
    validation_accuracy: float
    """Of the `best` checkpoint."""

    def checkpoint(self, which: Literal["best", "last"]) -> Mapping[str, torch.Tensor]:
        """Return the state dictionary of the checkpoint `which`."""
        return self.best if which == "best" else self.last


@dataclass(frozen=True)
class Zoo:
    """The members that trained to the end; `missing` counts those that diverged or failed."""

    members: Sequence[ZooMember]
    missing: int = 0

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[ZooMember]:
        return iter(self.members)


@dataclass(frozen=True)
class FitInputs:
    """What `fit` receives: the target and, in the order of the declaration, the sources."""

    target: Target
    sources: tuple[Zoo | ImageSplits, ...]
    generator: torch.Generator
    device: str = "cpu"
    """Where to compute; what the sources hold, and what `fit` returns, lies on the CPU."""
