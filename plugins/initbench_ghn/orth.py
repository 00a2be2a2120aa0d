"""Noise and orthogonal matrices after any other initialiser (Knyazev 2022, GHN-orth).

`base` names an installed initialiser, which does what it always does: it learns from its sources,
sees its images and sets the weights. Then the deep layers are processed (see `orthogonal`).

The code of the base is part of the configuration, so that a new version of it makes new trials.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, JsonValue, ValidationError, ValidationInfo, field_validator

from initbench.api import (
    Anatomy,
    Artifact,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    Scope,
    Source,
    Support,
    Target,
)
from initbench_ghn.ghn2 import KNYAZEV_2022
from initbench_ghn.options import OrthogonalOptions

if TYPE_CHECKING:
    import torch


class OrthConfig(OrthogonalOptions):
    """What comes first, and the options of the post-processing."""

    base: Annotated[str, Field(description="the initialiser that comes first")] = "he"
    base_config: Annotated[dict[str, JsonValue], Field(validate_default=True)] = {}
    base_code: Annotated[
        str, Field(validate_default=True, description="its code; found out where left out")
    ] = ""

    @field_validator("base")
    @classmethod
    def _is_installed(cls, name: str) -> str:
        _entry(name)
        return name

    @field_validator("base_config")
    @classmethod
    def _completed(cls, given: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        if "base" not in info.data:
            return given
        return _configured(info.data["base"], given).config.model_dump(mode="json")  # type: ignore[no-any-return]

    @field_validator("base_code")
    @classmethod
    def _of_the_base(cls, given: str, info: ValidationInfo) -> str:
        name = info.data.get("base")
        return given if name is None else _code(name)


class Orth(Initialiser[OrthConfig]):
    """Makes the deep layers of what another initialiser drew orthogonal."""

    name = "orth"
    scope = Scope.GLOBAL
    summary = "another initialiser, then noise and orthogonal matrices in deep layers"
    citation = KNYAZEV_2022
    version = "1"
    Config = OrthConfig

    def __init__(self, config: OrthConfig) -> None:
        super().__init__(config)
        self.base = _configured(config.base, config.base_config)

    def missing(self) -> str:
        return self.base.missing()

    def supports(self, anatomy: Anatomy) -> Support:
        return self.base.supports(anatomy)

    def images_needed(self) -> int:
        return self.base.images_needed()

    def sources(self, target: Target) -> tuple[Source, ...]:
        return self.base.sources(target)

    def fit_config(self) -> OrthConfig:
        base = self.base.fit_config().model_dump(mode="json")
        return OrthConfig(base=self.config.base, base_config=base, base_code=self.config.base_code)

    def learns(self) -> bool:
        return self.base.learns()

    def fit(self, inputs: FitInputs) -> Artifact:
        return self.base.fit(inputs)

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        from initbench_ghn.orthogonal import orthogonalise

        coverage = self.base.initialise(network, job)
        orthogonalise(network, self.config, job.generator, coverage)
        return coverage


def _entry(name: str) -> metadata.EntryPoint:
    found = metadata.entry_points(group="initbench", name=f"initialiser.{name}")
    if not found or name == Orth.name:
        known = sorted(
            entry.name.removeprefix("initialiser.")
            for entry in metadata.entry_points(group="initbench")
            if entry.name.startswith("initialiser.") and entry.name != f"initialiser.{Orth.name}"
        )
        raise ValueError(f"expected an installed initialiser, one of {', '.join(known)}")
    return next(iter(found))


def _configured(name: str, config: dict[str, Any]) -> Initialiser[Any]:
    cls: type[Initialiser[Any]] = _entry(name).load()
    try:
        return cls(cls.Config.model_validate_json(_json(config)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"`{place}` of initialiser `{name}`: {first['msg']}") from error


def _json(config: dict[str, Any]) -> str:
    import json

    return json.dumps(config)


def _code(name: str) -> str:
    """Return the declared version of an initialiser, or that of its distribution."""
    entry = _entry(name)
    declared = entry.load().version
    if declared is not None:
        return f"{name} {declared}"
    return f"{name} of {entry.dist.name} {entry.dist.version}" if entry.dist else name
