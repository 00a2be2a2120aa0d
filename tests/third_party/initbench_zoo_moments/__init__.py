"""A third party's package: an initialiser that learns from a zoo, and one that always fails."""

from __future__ import annotations

import torch

from initbench.api import (
    Artifact,
    Citation,
    Config,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    Scope,
    Source,
    Support,
    Target,
    Zoo,
    ZooSource,
)

SHORT = {
    "optimiser": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
    "epochs": 2,
    "batch_size": 64,
}


class ZooMomentsConfig(Config):
    networks: int = 3


class ZooMoments(Initialiser[ZooMomentsConfig]):
    """Draws each tensor from a normal with the mean and deviation it has over a zoo."""

    name = "zoo_moments"
    scope = Scope.LOCAL
    summary = "normal with each tensor's mean and standard deviation over a zoo"
    citation = Citation("A. N. Author. Moments of trained weights. 2026.", "https://example.org/zm")
    Config = ZooMomentsConfig

    def supports(self, anatomy) -> Support:
        return Support.yes() if anatomy.layers else Support.no("it has no parameters")

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (ZooSource(count=self.config.networks, recipe="zoo_moments_short"),)

    def fit(self, inputs: FitInputs) -> Artifact:
        (zoo,) = inputs.sources
        assert isinstance(zoo, Zoo)
        tensors = {}
        for name in zoo.members[0].best:
            stack = torch.stack([member.best[name].float() for member in zoo])
            tensors[f"mean.{name}"] = stack.mean()[None]
            tensors[f"std.{name}"] = stack.std()[None]
        return Artifact(tensors, {"networks": len(zoo), "missing": zoo.missing})

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        assert job.artifact is not None
        coverage = CoverageMap.of(network)
        moments = job.artifact.tensors
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                noise = torch.randn(parameter.shape, generator=job.generator)
                parameter.copy_(moments[f"mean.{name}"] + moments[f"std.{name}"] * noise)
                coverage.generated(name, "normal with the moments of the zoo")
        return coverage


class Unlucky(Initialiser[Config]):
    """Raises, so that a suite shows what becomes of it."""

    name = "unlucky"
    scope = Scope.POINTWISE
    summary = "always fails"
    citation = Citation("Nobody. 2026.")
    version = "1"

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        raise ZeroDivisionError("no luck with this seed")
