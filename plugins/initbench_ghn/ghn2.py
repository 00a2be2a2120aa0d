"""GHN-2 from a checkpoint (Knyazev et al. 2021), and GHN-orth (Knyazev 2022).

The checkpoint is a file; its digest is part of the configuration, so that another file of the same
name is another initialiser.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationInfo, field_validator

from initbench.api import (
    Anatomy,
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    Scope,
    Support,
    UnsupportedError,
    UserError,
)
from initbench_ghn.files import checked_digest, find, how_to_get
from initbench_ghn.options import Head, OrthogonalOptions

if TYPE_CHECKING:
    import torch

    from initbench_ghn.network import GHN

KNYAZEV_2021 = Citation(
    "Knyazev, Drozdzal, Taylor, Romero-Soriano: Parameter Prediction for Unseen Deep "
    "Architectures. NeurIPS 2021",
    "https://arxiv.org/abs/2110.13100",
)
KNYAZEV_2022 = Citation(
    "Knyazev: Pretraining a Neural Network before Knowing Its Architecture. ICML workshop on "
    "pre-training, 2022",
    "https://arxiv.org/abs/2207.10049",
)


class GHN2Config(Config):
    """The checkpoint, and what becomes of the head."""

    checkpoint: Annotated[
        str, Field(description="a path, or the name of a file in `ghn/` of the data folder")
    ] = "ghn2_imagenet.pt"
    sha256: Annotated[
        str | None,
        Field(validate_default=True, description="of the checkpoint; found out where left out"),
    ] = None
    head: Annotated[
        Head, Field(description="`auto`: predicted if the checkpoint has as many classes")
    ] = "auto"

    @field_validator("sha256")
    @classmethod
    def _of_the_file(cls, given: str | None, info: ValidationInfo) -> str | None:
        return checked_digest(info.data.get("checkpoint", ""), given)


class GHN2Initialiser(Initialiser[GHN2Config]):
    """Predicts all weights in one pass."""

    name = "ghn2"
    scope = Scope.GLOBAL
    summary = "all weights predicted by a graph hypernetwork, read from a checkpoint"
    citation = KNYAZEV_2021
    version = "1"
    Config = GHN2Config

    def missing(self) -> str:
        name = self.config.checkpoint
        return "" if find(name) else how_to_get(name)

    def supports(self, anatomy: Anatomy) -> Support:
        name = self.config.checkpoint
        path = find(name)
        if path is None:
            return Support.no(f"there is no checkpoint `{name}`; docs/ghn.md says where to get it")
        return readable(path)

    def images_needed(self) -> int:
        return 1  # only its size is looked at

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        from initbench_ghn.prediction import initialise

        path = find(self.config.checkpoint)
        if path is None:
            raise UnsupportedError(self.missing())
        ghn = loaded(path, self.config.sha256)
        size = image_size(job)
        return initialise(network, ghn, job.anatomy, size, job.generator, self.config.head)


class GHN2OrthConfig(GHN2Config, OrthogonalOptions):
    """Those of `ghn2` and of the post-processing."""


class GHN2Orth(GHN2Initialiser):
    """Predicts all weights, and makes those of deep layers orthogonal."""

    name = "ghn2_orth"
    summary = "as `ghn2`, with noise and orthogonal matrices in deep layers"
    citation = KNYAZEV_2022
    version = "1"
    Config = GHN2OrthConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        from initbench_ghn.orthogonal import orthogonalise

        coverage = super().initialise(network, job)
        assert isinstance(self.config, GHN2OrthConfig)
        orthogonalise(network, self.config, job.generator, coverage)
        return coverage


def image_size(job: Initialisation) -> tuple[int, int, int]:
    """Return (channels, height, width) of what the network will see."""
    if job.batch is None:
        raise UserError("a graph hypernetwork needs one image, to know the size of its inputs")
    channels, height, width = job.batch.images.shape[1:]
    return channels, height, width


def readable(path: Path) -> Support:
    """Say whether a checkpoint can be read, so that it is refused before anything is trained."""
    try:
        loaded(path, checked_digest(str(path), None))
    except UserError as error:
        return Support.no(str(error))
    return Support.yes()


@lru_cache(maxsize=2)
def loaded(path: Path, sha256: str | None) -> GHN:
    """Return the hypernetwork of a file with this digest, from memory where it was read before."""
    from initbench_ghn.checkpoint import load

    return load(path)
