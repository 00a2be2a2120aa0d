"""Trials: the unit that is cached, resumed and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from initbench.store.artifact import ARTIFACT_FORMAT
from initbench.store.identity import digest
from initbench.store.record import PROTOCOL_VERSION, RECORD_FORMAT


@dataclass(frozen=True)
class Code:
    """Which code stands behind a name: a version its author declares, or a digest of its files."""

    distribution: str
    version: str | None = None  # declared by the author
    digest: str | None = None  # of all source files of the distribution, where no version is

    def tree(self) -> dict[str, Any]:
        """Return the part of a key that identifies the code."""
        if self.version is not None:
            return {"distribution": self.distribution, "version": self.version}
        return {"distribution": self.distribution, "digest": self.digest}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Code:
        """Return the code that `tree` identifies."""
        return cls(tree["distribution"], tree.get("version"), tree.get("digest"))


@dataclass(frozen=True)
class Reference:
    """A resolved name: its complete configuration (defaults filled in) and its code."""

    name: str
    config: dict[str, Any]
    code: Code

    def tree(self) -> dict[str, Any]:
        """Return the part of a key that stands for this thing."""
        return {"name": self.name, "config": self.config, "code": self.code.tree()}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Reference:
        """Return the reference that `tree` stands for."""
        return cls(tree["name"], tree["config"], Code.of(tree["code"]))


@dataclass(frozen=True)
class DataReference:
    """A resolved data set, the size its images are brought to, and the digest of its splits."""

    dataset: Reference
    size: int
    fingerprint: str

    def tree(self) -> dict[str, Any]:
        """Return the part of a key that stands for these data."""
        return {**self.dataset.tree(), "size": self.size, "fingerprint": self.fingerprint}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> DataReference:
        """Return the reference that `tree` stands for."""
        return cls(Reference.of(tree), tree["size"], tree["fingerprint"])

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The tree under `key`."""
        return {"kind": "data", "protocol": PROTOCOL_VERSION, "data": self.tree()}

    @cached_property
    def key(self) -> str:
        """The key of the prepared tensors."""
        return digest(self.identity)


@dataclass(frozen=True)
class Trial:
    """One model, one data set, one initialiser, one recipe, one seed."""

    initialiser: Reference
    model: Reference
    data: DataReference
    recipe: dict[str, Any]  # a complete, validated recipe
    seed: int
    artifact: str | None = None  # the key of the fitted state, for generative initialisers

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Trial:
        """Return the trial that `identity` stands for."""
        return cls(
            initialiser=Reference.of(identity["initialiser"]),
            model=Reference.of(identity["model"]),
            data=DataReference.of(identity["data"]),
            recipe=identity["recipe"],
            seed=identity["seed"],
            artifact=identity["initialiser"]["artifact"],
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The tree of everything that can change this trial's numbers, and of nothing else."""
        return {
            "kind": "trial",
            "format": RECORD_FORMAT,
            "protocol": PROTOCOL_VERSION,
            "initialiser": {**self.initialiser.tree(), "artifact": self.artifact},
            "model": self.model.tree(),
            "data": self.data.tree(),
            "recipe": self.recipe,
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)


@dataclass(frozen=True)
class Fitting:
    """The fitting of one generative initialiser for one target, from its sources.

    A source is `{"kind": "zoo", "trials": [keys]}` or `{"kind": "data", "data": tree}`.
    """

    initialiser: Reference
    model: Reference
    data: DataReference
    recipe: dict[str, Any]
    sources: list[dict[str, Any]]
    seed: int = 0

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Fitting:
        """Return the fitting that `identity` stands for."""
        return cls(
            initialiser=Reference.of(identity["initialiser"]),
            model=Reference.of(identity["model"]),
            data=DataReference.of(identity["data"]),
            recipe=identity["recipe"],
            sources=identity["sources"],
            seed=identity["seed"],
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The tree of everything that can change the fitted state."""
        return {
            "kind": "fit",
            "format": ARTIFACT_FORMAT,
            "protocol": PROTOCOL_VERSION,
            "initialiser": self.initialiser.tree(),
            "model": self.model.tree(),
            "data": self.data.tree(),
            "recipe": self.recipe,
            "sources": self.sources,
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The digest of the identity: the artifact's key."""
        return digest(self.identity)

    @property
    def zoo_trials(self) -> list[str]:
        """The keys of all zoo trials this fitting learns from."""
        return [key for source in self.sources for key in source.get("trials", [])]


@dataclass(frozen=True)
class Observing:
    """One look of a probe at the networks of one trial, or of all trials of a cell."""

    measure: Reference  # one of those that have this probe; only its code is part of the key
    probe: dict[str, Any]  # name, version and settings
    data: DataReference  # the images that are looked at
    trained_on: str  # the key of those that the networks were trained on
    trials: tuple[str, ...]  # keys, in the order of their seeds

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Observing:
        """Return the observation that `tree` describes."""
        return cls(
            Reference.of(tree["measure"]),
            tree["probe"],
            DataReference.of(tree["data"]),
            tree["trained_on"],
            tuple(tree["trials"]),
        )

    def tree(self) -> dict[str, Any]:
        """Return the description that travels to a worker."""
        return {
            "measure": self.measure.tree(),
            "probe": self.probe,
            "data": self.data.tree(),
            "trained_on": self.trained_on,
            "trials": list(self.trials),
        }

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The tree of everything that can change what is seen."""
        return {
            "kind": "observation",
            "format": ARTIFACT_FORMAT,
            "protocol": PROTOCOL_VERSION,
            "probe": {**self.probe, "code": self.measure.code.tree()},
            "data": self.data.tree(),
            "trials": list(self.trials),
        }

    @cached_property
    def key(self) -> str:
        """The digest of the identity: the observation's key."""
        return digest(self.identity)
