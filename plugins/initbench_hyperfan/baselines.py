"""What was customary before hyperfan: M1 to M4 of Chang et al. 2020, section 3.

| | initialiser | weights of an output layer |
|---|---|---|
| M1 | `hypernet_classical` | Xavier or Kaiming, as if they were the network under test |
| M2 | `hypernet_small` | normal, one small width |
| M3 | `hypernet_scaled` | Kaiming fan-in, times 1/10 |
| M4 | `hypernet_constant` | Kaiming fan-in, and embeddings of one value that sets the right scale |

An output layer is seen as one linear map from d_k features to the d_i d_j s elements of a tensor:
Xavier 2 / (d_k + d_i d_j s), Kaiming fan-in r / d_k, Kaiming fan-out r / (d_i d_j s).

Deviations:
- r is that of the layer of the main network for which a tensor is generated (1 without a ReLU), as
  in table 1. Behind blocks, the layer that they share gets the largest r among its tensors.
- M3: the paper's source multiplies the output of the hypernetwork, here its weights are multiplied.
  At the start this is the same; in training the effective learning rate is another.
- M4: the value of an embedding follows from the variance that hyperfan-in gives a tensor.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from initbench.api import (
    Anatomy,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    Layer,
    OutputLayer,
    Scope,
    Support,
)
from initbench_hyperfan._networks import (
    Distribution,
    layer_of,
    needs_hypernetwork,
    scale_layer,
    settle_rest,
    shared_layers,
    write,
)
from initbench_hyperfan.hyperfan import CITATION
from initbench_hyperfan.variances import relu_factor, wanted_variance

if TYPE_CHECKING:
    import torch

Scheme = Literal["xavier", "kaiming_fan_in", "kaiming_fan_out"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def classical_variance(scheme: Scheme, layer: Layer, factor: int) -> float:
    """Return the variance of a layer's weights by a classical scheme.

    `factor` is r; fans are those of the generated tensor, or of the block, not of all together.
    """
    if scheme == "xavier":
        return 2 / (layer.fan_in + layer.fan_out)
    return factor / (layer.fan_in if scheme == "kaiming_fan_in" else layer.fan_out)


def largest_factor(outputs: tuple[OutputLayer, ...]) -> int:
    """Return the largest r among the tensors of some output layers."""
    return max(relu_factor(tensor.layer) for output in outputs for tensor in output.tensors)


class ClassicalConfig(Config):
    """The scheme and the distribution."""

    scheme: Annotated[Scheme, Field(description="by which fan the variance is set")] = "xavier"
    distribution: Distribution = "uniform"


class DistributionConfig(Config):
    """The distribution."""

    distribution: Distribution = "uniform"


class SmallConfig(Config):
    """The width of the normal distribution."""

    std: Annotated[Positive, Field(description="of the weights of output layers")] = 0.01


class ScaledConfig(DistributionConfig):
    """The factor and the distribution."""

    factor: Annotated[Positive, Field(description="that multiplies the weights")] = 0.1


BaselineConfigT = TypeVar("BaselineConfigT", bound=Config)


class _Baseline(Initialiser[BaselineConfigT]):
    """A rule for the variance of output layers, and what all rules have in common."""

    scope = Scope.POINTWISE
    citation = CITATION
    version = "1"
    distribution: Distribution = "uniform"

    @abstractmethod
    def variance(self, layer: Layer, factor: int) -> float:
        """Return the variance of an output layer; `factor` is r of what it generates."""

    def supports(self, anatomy: Anatomy) -> Support:
        return needs_hypernetwork(anatomy)

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        coverage = CoverageMap.of(network)
        layers = {output.name: (output,) for output in job.anatomy.outputs}
        for name, outputs in {**layers, **shared_layers(job.anatomy)}.items():
            variance = self.variance(layer_of(job.anatomy, name), largest_factor(outputs))
            scale_layer(network, job, coverage, name, variance, self.distribution)
        settle_rest(network, job, coverage, self.distribution)
        return coverage


class HypernetClassical(_Baseline[ClassicalConfig]):
    """M1: treats the hypernetwork like any network; generated weights are far too large."""

    name = "hypernet_classical"
    summary = "hypernetworks: Xavier or Kaiming, blind to what is generated (M1)"
    Config = ClassicalConfig

    @property
    def distribution(self) -> Distribution:  # type: ignore[override]
        return self.config.distribution

    def variance(self, layer: Layer, factor: int) -> float:
        return classical_variance(self.config.scheme, layer, factor)


class HypernetSmall(_Baseline[SmallConfig]):
    """M2: starts with generated weights near zero."""

    name = "hypernet_small"
    summary = "hypernetworks: normal, the same small width in every output layer (M2)"
    Config = SmallConfig
    distribution = "normal"

    def variance(self, layer: Layer, factor: int) -> float:
        return self.config.std**2


class HypernetScaled(_Baseline[ScaledConfig]):
    """M3: Kaiming's scale, made smaller by hand."""

    name = "hypernet_scaled"
    summary = "hypernetworks: Kaiming fan-in, times 1/10 (M3)"
    Config = ScaledConfig

    @property
    def distribution(self) -> Distribution:  # type: ignore[override]
        return self.config.distribution

    def variance(self, layer: Layer, factor: int) -> float:
        scale: float = self.config.factor**2
        return scale * classical_variance("kaiming_fan_in", layer, factor)


class HypernetConstant(_Baseline[DistributionConfig]):
    """M4: Kaiming's output layers, with the scale in embeddings that hold one value each."""

    name = "hypernet_constant"
    summary = "hypernetworks: Kaiming fan-in with suitably scaled constant embeddings (M4)"
    Config = DistributionConfig

    @property
    def distribution(self) -> Distribution:  # type: ignore[override]
        return self.config.distribution

    def variance(self, layer: Layer, factor: int) -> float:
        return classical_variance("kaiming_fan_in", layer, factor)

    def supports(self, anatomy: Anatomy) -> Support:
        support = needs_hypernetwork(anatomy)
        if not support.supported:
            return support
        rows = [(x.embedding, tensor.rows) for x in anatomy.outputs for tensor in x.tensors]
        if len(set(rows)) < len(rows):
            return Support.no("tensors share their embedding, so they share its scale")
        for output in anatomy.outputs:
            embeddings = [x for x in anatomy if output.embedding == x.weight]
            if not embeddings or embeddings[0].others:
                return Support.no("tensors share part of their embeddings, so they share its scale")
            if output.features != embeddings[0].shape[1]:
                return Support.no("hidden layers lie between embeddings and output layers")
        return Support.yes()

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        coverage = super().initialise(network, job)
        values: dict[str, torch.Tensor] = {}
        for output in job.anatomy.outputs:
            shown = network.get_parameter(output.embedding).detach().cpu().clone()
            embedding = values.setdefault(output.embedding, shown)
            for tensor in output.tensors:
                wanted = wanted_variance("in", tensor) / self._gain(job.anatomy, output)
                embedding[slice(*tensor.rows)] = math.sqrt(wanted)
        for name, embedding in values.items():
            write(network, name, embedding)
            coverage.generated(name, "one value an embedding, for the variance of hyperfan-in")
        return coverage

    def _gain(self, anatomy: Anatomy, output: OutputLayer) -> float:
        """Return the variance of what embeddings of ones generate."""
        gain = largest_factor((output,))
        if output.through is not None:
            gain *= largest_factor(shared_layers(anatomy)[output.through])
        return gain
