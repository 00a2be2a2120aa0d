"""The local initialiser: one model of slices for each layer, fitted to the layers of a zoo.

Harder et al. 2023, "From Pointwise to Powerhouse: Initialising Neural Networks with Generative
Models" (arXiv 2310.16695). `fit` makes the weight data set, lets the method learn a model of each
layer's slices, judges it, and keeps that judgement with the artifact. `initialise` draws all
slices of a network and leaves the rest to the rules in `others`.

Deviations:
- A target of other depth than the zoo's networks: a layer takes its slices from the trained layer
  of the same kernel size and width at the nearest relative depth (`places.nearest`).
- Layers whose samples have collapsed are named, and by option refused or left to Xavier.
- Randomness comes from the CPU; what is computed from it, on the network's device. Weights of a
  seed therefore differ between devices by rounding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, JsonValue

from initbench.api import (
    Anatomy,
    Artifact,
    Citation,
    Config,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    PluginError,
    Scope,
    Support,
    Target,
    Zoo,
    ZooSource,
)
from initbench_slices.diagnostics import COLLAPSED, SAMPLES, diagnose
from initbench_slices.fitted import FORMAT, Fitted, Tensors
from initbench_slices.others import Head, settle_others, write, xavier
from initbench_slices.places import Place, extrapolation, nearest, places_of, why_not_slices
from initbench_slices.slices import LEAST_NETWORKS, Checkpoint, LayerSlices, weight_data_set

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EXAMPLES = 16
"""Slices of a layer, and samples of it, that an artifact keeps for a picture."""

HARDER_2023 = Citation(
    "Harder, Horn, Kauschke, Heiß, Welke, Kersting, Schramowski: From Pointwise to Powerhouse: "
    "Initialising Neural Networks with Generative Models. 2023",
    "https://arxiv.org/abs/2310.16695",
)


class LocalConfig(Config):
    """The zoo that is learnt from, the head rule, and what becomes of collapsed layers."""

    networks: Annotated[int, Field(ge=LEAST_NETWORKS, description="of the zoo")] = 100
    checkpoint: Annotated[
        Checkpoint,
        Field(description="best validation accuracy (the paper), or last (the authors' script)"),
    ] = "best"
    zoo_model: Annotated[str | None, Field(description="left out: the target's")] = None
    zoo_model_config: dict[str, JsonValue] = {}
    zoo_dataset: Annotated[str | None, Field(description="left out: the target's")] = None
    zoo_dataset_config: dict[str, JsonValue] = {}
    zoo_recipe: Annotated[
        str | dict[str, JsonValue] | None, Field(description="left out: the target's")
    ] = None
    head: Head = "xavier"
    on_collapse: Annotated[
        Literal["warn", "error", "fallback"],
        Field(description=f"of samples to below {COLLAPSED} of the data's standard deviation"),
    ] = "warn"


class ModelConfig(LocalConfig):
    """What all local methods have, and how long models of slices are trained."""

    scale: Annotated[
        float, Field(gt=0, le=1, description="of the authors' epochs; at least one is left")
    ] = 1.0
    least_steps: Annotated[int, Field(ge=1, description="of training, for each layer")] = 2000
    """Fewer than the published setting has in any layer (4,350)."""


ConfigT = TypeVar("ConfigT", bound=LocalConfig)


@dataclass(frozen=True)
class Learnt:
    """Models of the slices of some layers: tensors whose first dimension counts the layers."""

    tensors: Tensors
    diagnostics: Sequence[Mapping[str, float]]
    """Of each layer, besides those that all methods have."""


class LocalInitialiser(Initialiser[ConfigT]):
    """Draws every kernel slice from a model of the slices of one trained layer."""

    scope = Scope.LOCAL
    citation = HARDER_2023
    method: str
    """What the coverage map calls it."""

    @abstractmethod
    def learn(
        self, layers: Sequence[LayerSlices], generator: torch.Generator, device: str
    ) -> Learnt:
        """Learn a model of each of some layers, all of the same kernel size."""

    @abstractmethod
    def sample(
        self,
        tensors: Tensors,
        kernel: int,
        wanted: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> list[Tensor]:
        """Draw slices.

        Args:
            tensors: what `learn` returned, on the device to compute on.
            kernel: the size of the slices.
            wanted: for each answer, the position of the layer in `learn`, and how many.
            generator: the source of randomness, on the CPU.

        Returns:
            One (how many, kernel * kernel) for each that is wanted.
        """

    def supports(self, anatomy: Anatomy) -> Support:
        if places_of(anatomy):
            return Support.yes()
        found = {why_not_slices(x.shape) for x in anatomy.weight_layers()} - {""}
        reasons = f" (it has: {', '.join(sorted(found))})" if found else ""
        return Support.no(f"it has no square kernel larger than 1 x 1{reasons}")

    def fit_config(self) -> ConfigT:
        """Leave out the head rule, so that variants of one method share their fit."""
        return self.config.model_copy(update={"head": "xavier"})

    def sources(self, target: Target) -> tuple[ZooSource, ...]:
        """Ask for the paper's zoo: networks of the target, He initialised, on the target's data."""
        config = self.config
        return (
            ZooSource(
                count=config.networks,
                model=config.zoo_model,
                model_config=config.zoo_model_config,
                dataset=config.zoo_dataset,
                dataset_config=config.zoo_dataset_config,
                recipe=config.zoo_recipe,
                initialiser="he",
                initialiser_config={"gain": "relu", "bias": "default"},
            ),
        )

    def fit(self, inputs: FitInputs) -> Artifact:
        zoo = inputs.sources[0]
        assert isinstance(zoo, Zoo)
        anatomy = inputs.target.anatomy if self.config.zoo_model is None else None
        slices = weight_data_set(zoo, self.config.checkpoint, anatomy)
        _check_kernels(places_of(inputs.target.anatomy), [x.place for x in slices])
        tensors: Tensors = {}
        rows: dict[int, dict[str, Any]] = {}
        for kernel in sorted({x.place.kernel for x in slices}):
            chosen = [i for i, x in enumerate(slices) if x.place.kernel == kernel]
            layers = [slices[i] for i in chosen]
            learnt = self.learn(layers, inputs.generator, inputs.device)
            wanted = [(i, SAMPLES) for i in range(len(layers))]
            samples = self.sample(learnt.tensors, kernel, wanted, inputs.generator)
            for i, x, drawn, found in zip(chosen, layers, samples, learnt.diagnostics, strict=True):
                numbers = {**diagnose(x, drawn.cpu()), **found}
                rows[i] = {"layer": x.place.name, "slices": len(x.train), **numbers}
                tensors |= _examples(i, x, drawn.cpu())
            tensors |= {f"{kernel}.{name}": x.cpu() for name, x in learnt.tensors.items()}
        diagnostics = [rows[i] for i in range(len(slices))]
        return Artifact(
            {name: x.contiguous() for name, x in tensors.items()},
            {
                "format": FORMAT,
                "method": self.name,
                "networks": len(zoo),
                "missing": zoo.missing,
                "checkpoint": self.config.checkpoint,
                "layers": [
                    {**x.place.tree(), "ratio": row["ratio"]}
                    for x, row in zip(slices, diagnostics, strict=True)
                ],
                "diagnostics": {
                    "columns": list(diagnostics[0]),
                    "rows": [list(row.values()) for row in diagnostics],
                },
                "warnings": self._warnings(diagnostics),
            },
        )

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        fitted = Fitted.of(self.name, job.artifact)
        coverage = CoverageMap.of(network)
        drawn: dict[int, list[tuple[Place, int]]] = {}  # kernel -> layers, what they learn from
        for place in places_of(job.anatomy):
            source = nearest(place, fitted.trained)
            if source is None:
                reason = f"no layer with a {place.kernel} x {place.kernel} kernel was trained"
            elif fitted.ratios[source] < COLLAPSED and self.config.on_collapse == "fallback":
                reason = f"the model of `{fitted.trained[source].name}` collapsed"
            else:
                drawn.setdefault(place.kernel, []).append((place, source))
                continue
            write(network, place.name, xavier(place.shape, job.generator))
            coverage.fallback(place.name, f"{reason}: Xavier normal")
        for kernel, targets in drawn.items():
            self._draw_slices(network, job, coverage, kernel, targets, fitted)
        settle_others(network, job, coverage, self.config.head)
        return coverage

    def _draw_slices(
        self,
        network: torch.nn.Module,
        job: Initialisation,
        coverage: CoverageMap,
        kernel: int,
        targets: Sequence[tuple[Place, int]],
        fitted: Fitted,
    ) -> None:
        device = network.get_parameter(targets[0][0].name).device
        same_kernel = [i for i, x in enumerate(fitted.trained) if x.kernel == kernel]
        wanted = [(same_kernel.index(source), place.slices) for place, source in targets]
        tensors = {name: x.to(device) for name, x in fitted.tensors_of(kernel).items()}
        samples = self.sample(tensors, kernel, wanted, job.generator)
        for (place, source), slices in zip(targets, samples, strict=True):
            write(network, place.name, slices.reshape(place.shape))
            ratio = fitted.ratios[source]
            remarks = [extrapolation(place, fitted.trained[source])]
            if ratio < COLLAPSED:
                remarks.append(f"COLLAPSED to {ratio:.2g} of the data's standard deviation")
            said = "".join(f"; {remark}" for remark in remarks if remark)
            coverage.generated(place.name, f"{self.method}{said}")

    def _warnings(self, diagnostics: Sequence[Mapping[str, Any]]) -> list[str]:
        """Name the layers whose samples collapsed; raise PluginError if that is an error."""
        collapsed = [row for row in diagnostics if row["ratio"] < COLLAPSED]
        if not collapsed:
            return []
        listed = ", ".join(f"`{row['layer']}` ({row['ratio']:.2g})" for row in collapsed)
        text = (
            f"{len(collapsed)} of {len(diagnostics)} layers collapsed: their samples have less "
            f"than {COLLAPSED} of the standard deviation of trained slices: {listed}"
        )
        if self.config.on_collapse == "error":
            raise PluginError(f"{text}; `on_collapse: warn` or `fallback` accepts that")
        return [text]


def _check_kernels(wanted: Sequence[Place], trained: Sequence[Place]) -> None:
    """Refuse a zoo from which nothing of the target could be generated."""
    sizes = [sorted({place.kernel for place in places}) for places in (wanted, trained)]
    if not set(sizes[0]) & set(sizes[1]):
        needed, got = (", ".join(f"{k} x {k}" for k in found) for found in sizes)
        raise PluginError(
            f"the zoo is of another architecture: the target has kernels of {needed}, the zoo's "
            f"networks of {got}; choose a `zoo_model` that shares one"
        )


def _examples(number: int, slices: LayerSlices, samples: Tensor) -> Tensors:
    """Return a few trained slices and as many samples as planes, in one row of a picture."""
    import torch

    step = max(len(slices.train) // EXAMPLES, 1)
    count = min(EXAMPLES, len(slices.train))
    rows = torch.cat([slices.train[::step][:count], samples[:count]])
    side = slices.place.kernel
    title = f"{number:02} {slices.place.name}: {count} trained, {count} sampled"
    return {f"examples.{title}": rows.view(-1, side, side)}
