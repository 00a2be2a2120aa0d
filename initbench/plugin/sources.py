"""Sources: what a generative initialiser learns from, declared so that the planner provides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from initbench.errors import UserError

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
    checkpoints: Sequence[int] = ()
    """Epochs whose weights members keep besides best and last; 0 is before training."""


@dataclass(frozen=True)
class DataSource:
    """Training images of a data set (left out: the target's)."""

    dataset: str | None = None
    dataset_config: Mapping[str, Any] = field(default_factory=dict)


Source = ZooSource | DataSource


@dataclass(frozen=True)
class Checkpoint:
    """Weights of a zoo member after an epoch (0: before training), read when they are asked for."""

    weights: Mapping[str, torch.Tensor]
    """State dictionary."""
    validation_accuracy: float
    test_accuracy: float | None
    """Where the recipe's `evaluation.test_epochs` asks for it."""


@dataclass(frozen=True)
class ZooMember:
    """One trained network of a zoo."""

    seed: int
    best: Mapping[str, torch.Tensor]
    last: Mapping[str, torch.Tensor]
    validation_accuracy: float
    """Of the `best` checkpoint."""
    checkpoints: Mapping[int, Checkpoint] = field(default_factory=dict)
    """By epoch: those that `ZooSource.checkpoints` asked for."""

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

    def split(
        self, train: float = 0.7, validation: float = 0.15
    ) -> tuple[tuple[ZooMember, ...], tuple[ZooMember, ...], tuple[ZooMember, ...]]:
        """Split by model into training, validation and test members, in the order of the seeds.

        Validation and test get the whole part of their share, at least one member each; training
        gets the rest, and comes first. All checkpoints of a member are in one part (Schürholt et
        al. 2022 split 70/15/15 by model).

        Raises UserError where the zoo is too small for a member in each part.
        """
        members = sorted(self.members, key=lambda member: member.seed)
        sizes = split_sizes(len(members), train, validation)
        if sizes is None:
            raise UserError(
                f"a zoo of {len(members)} trained networks is too small to split by model into "
                "training, validation and test members (at least 3); ask for a larger zoo"
            )
        first, second = sizes[0], sizes[0] + sizes[1]
        return tuple(members[:first]), tuple(members[first:second]), tuple(members[second:])


_ROUNDING = 1e-9
"""Shares like 1 - 0.8 - 0.1 are not exact: a whole number of members stays whole."""


def split_sizes(
    members: int, train: float = 0.7, validation: float = 0.15
) -> tuple[int, int, int] | None:
    """Return the numbers of training, validation and test members, as `Zoo.split` has them.

    None where there are too few for one in each.
    """
    checks, tests = (
        max(1, int(share * members + _ROUNDING)) for share in (validation, 1 - train - validation)
    )
    first = members - checks - tests
    return (first, checks, tests) if first > 0 else None


@dataclass(frozen=True)
class FitInputs:
    """What `fit` receives: the target and, in the order of the declaration, the sources."""

    target: Target
    sources: tuple[Zoo | ImageSplits, ...]
    generator: torch.Generator
    device: str = "cpu"
    """Where to compute; what the sources hold, and what `fit` returns, lies on the CPU."""
    network: torch.nn.Module | None = None
    """The target's, as its model builds it, to try weights in; None only outside the harness."""
