"""Weights of networks that were trained on other images, or for other lengths.

Sources:
* Harder et al. 2023 (arXiv 2310.16695), "PT k": a network trained on CIFAR-10 for k epochs gives
  everything but its head, statistics of batch norm included; the head is drawn by He's rule.
* Schürholt et al. 2022 (arXiv 2207.10951), "B_F": the networks of a zoo, heads included, are
  trained on, on other images.

The networks are a zoo of `networks` members, trained by the harness like any other. The trial of
seed s starts from member s modulo their number, so that trials of equal seeds share a start.

Deviations: which pretrained network each published run started from is not recorded. Here each
of the 25 starts from one of its own by default. The bias of a fresh head is PyTorch's default.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from initbench.api import (
    Artifact,
    Citation,
    Config,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    Layer,
    LayerRole,
    PluginError,
    Scope,
    Source,
    Target,
    UnsupportedError,
    UserError,
    Zoo,
    ZooSource,
)

if TYPE_CHECKING:
    import torch


class PretrainedConfig(Config):
    """Where the weights come from, and what becomes of the head."""

    dataset: Annotated[str | None, Field(description="trained on; the target's by default")] = None
    dataset_config: dict[str, Any] = {}
    recipe: Annotated[
        str | dict[str, Any] | None,
        Field(description="a recipe, or changes to the one with this `name`; the target's if none"),
    ] = None
    start: Annotated[str, Field(description="the initialiser that training began with")] = "he"
    start_config: dict[str, Any] = {}
    networks: Annotated[int, Field(ge=1, le=10_000, description="how many were trained")] = 25
    first_seed: Annotated[int, Field(ge=1_000_000, description="the seed of the first one")] = (
        1_000_000
    )
    checkpoint: Literal["best", "last"] = "last"
    head: Literal["he", "copied"] = "he"


class Pretrained(Initialiser[PretrainedConfig]):
    """Copies a trained network, with its head or without."""

    name = "pretrained"
    scope = Scope.PRETRAINED
    summary = "the weights of a network trained on other images"
    citation = Citation(
        "Harder et al.: Towards Weight Initialisation by Generative Models (experiment on "
        "knowledge transfer), 2023",
        "https://arxiv.org/abs/2310.16695",
    )
    version = "1"
    Config = PretrainedConfig

    def sources(self, target: Target) -> tuple[Source, ...]:
        config = self.config
        return (
            ZooSource(
                count=config.networks,
                dataset=config.dataset,
                dataset_config=config.dataset_config,
                recipe=config.recipe,
                initialiser=config.start,
                initialiser_config=config.start_config,
                first_seed=config.first_seed,
            ),
        )

    def fit(self, inputs: FitInputs) -> Artifact:
        """Keep the networks that trained to the end."""
        (zoo,) = inputs.sources
        assert isinstance(zoo, Zoo)
        if not len(zoo):
            raise PluginError("none of the networks to start from trained to the end")
        tensors = {
            f"{i}.{name}": tensor
            for i, member in enumerate(zoo)
            for name, tensor in member.checkpoint(self.config.checkpoint).items()
        }
        accuracies = [member.validation_accuracy for member in zoo]
        return Artifact(
            tensors,
            {
                "networks": len(zoo),
                "missing": zoo.missing,
                "checkpoint": self.config.checkpoint,
                "validation_accuracy": sum(accuracies) / len(accuracies),
            },
        )

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        assert job.artifact is not None
        member = job.seed % int(job.artifact.description["networks"])
        start = f"{member}."
        trained = {
            name.removeprefix(start): tensor
            for name, tensor in job.artifact.tensors.items()
            if name.startswith(start)
        }
        coverage = CoverageMap.of(network)
        fresh = [] if self.config.head == "copied" else list(_heads(job))
        drawn = {name for layer in fresh for name in (layer.weight, layer.bias) if name}
        _check_shapes(network, trained, drawn)
        _copy(network, trained, drawn, coverage)
        for layer in fresh:
            _draw_head(network, layer, job.generator, coverage)
        return coverage


def _heads(job: Initialisation) -> Iterator[Layer]:
    heads = [layer for layer in job.anatomy if layer.role is LayerRole.HEAD]
    if not heads:
        raise UnsupportedError("the network has no head; use `head: copied`")
    yield from heads


def _check_shapes(
    network: torch.nn.Module, trained: Mapping[str, torch.Tensor], drawn: set[str]
) -> None:
    for name, tensor in network.state_dict().items():
        if name in drawn:
            continue
        if name not in trained:
            raise PluginError(f"the trained networks have no `{name}`: they are of another model")
        expected, got = tuple(tensor.shape), tuple(trained[name].shape)
        if expected != got:
            raise UserError(
                f"`{name}` of the trained networks does not fit: expected {expected}, got {got}; "
                "where only the number of classes differs, use `head: he`"
            )


def _copy(
    network: torch.nn.Module,
    trained: Mapping[str, torch.Tensor],
    drawn: set[str],
    coverage: CoverageMap,
) -> None:
    import torch

    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name not in drawn:
                tensor.copy_(trained[name])
    for name in coverage.elements:
        if name not in drawn:
            coverage.generated(name, "trained elsewhere")
    coverage.sets_buffers("running statistics of the trained network")


def _draw_head(
    network: torch.nn.Module, layer: Layer, generator: torch.Generator, coverage: CoverageMap
) -> None:
    """Draw a head: normal with variance 2 / fan-in, its bias within 1 / sqrt(fan-in)."""
    import torch

    with torch.no_grad():
        if layer.weight:
            weight = network.get_parameter(layer.weight)
            draw = torch.randn(weight.shape, generator=generator)
            weight.copy_(math.sqrt(2 / layer.fan_in) * draw)
            coverage.rule(layer.weight, "head: normal, variance 2 / fan-in")
        if layer.bias:
            bias = network.get_parameter(layer.bias)
            draw = 2 * torch.rand(bias.shape, generator=generator) - 1
            bias.copy_(draw / math.sqrt(layer.fan_in))
            coverage.rule(layer.bias, "head: uniform within 1 / sqrt(fan-in), PyTorch's default")
