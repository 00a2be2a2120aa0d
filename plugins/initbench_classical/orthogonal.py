"""Orthogonal and delta-orthogonal: weights that preserve the norm of what they are applied to.

| method | paper | weight |
| --- | --- | --- |
| orthogonal | Saxe et al. 2014, section 4 | gain * Q, Q a random (semi-)orthogonal matrix |
| delta-orthogonal | Xiao et al. 2018, algorithm 2 | gain * Q in the centre of the kernel, else 0 |

Deviations:
- Orthogonal, convolutions: the paper has none; the matrix is (out, in * positions), as is custom.
- Groups of a convolution are maps of their own, so each of them gets a matrix of its own.
- Delta-orthogonal, layers that do not fit: the paper needs at least as many outputs as inputs
  (then Q has orthonormal columns and the layer is an isometry) and a kernel with a centre. A layer
  with fewer outputs gets orthonormal rows, a kernel of even extent k its tap at (k - 1) // 2. Both
  are recorded as fallbacks; `misfit: refuse` refuses the network instead.
- Delta-orthogonal, linear layers: orthogonal.
- The gain follows the activation; the papers choose it (sigma_w) so that the network is critical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.api import (
    Anatomy,
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    Layer,
    LayerKind,
    Scope,
    Support,
)
from initbench_classical._layers import (
    Bias,
    Gain,
    Head,
    gain_of,
    gain_text,
    settle_others,
    weights,
    write,
)

if TYPE_CHECKING:
    import torch


def orthogonal(layer: Layer, gain: float, generator: torch.Generator) -> torch.Tensor:
    """Draw a weight whose groups are each `gain` times a semi-orthogonal matrix (out, rest)."""
    import torch

    weight = torch.empty(layer.shape)
    for group in weight.chunk(layer.groups):
        torch.nn.init.orthogonal_(group, gain, generator)
    return weight


def delta_orthogonal(layer: Layer, gain: float, generator: torch.Generator) -> torch.Tensor:
    """Draw a kernel that is orthogonal in its centre tap and 0 elsewhere, group by group."""
    import torch

    weight = torch.zeros(layer.shape)
    for group in weight.chunk(layer.groups):
        tap = group
        for extent in layer.shape[2:]:
            tap = tap.select(2, (extent - 1) // 2)
        torch.nn.init.orthogonal_(tap, gain, generator)
    return weight


def misfit(layer: Layer) -> str:
    """Say why a layer cannot be delta-orthogonal as in the paper; empty where it can."""
    if layer.kind is not LayerKind.CONV:
        return ""
    reasons = []
    inputs, outputs = (fan // layer.receptive_field for fan in (layer.fan_in, layer.fan_out))
    if outputs < inputs:
        reasons.append(f"{outputs} outputs for {inputs} inputs: orthonormal rows, no isometry")
    if any(extent % 2 == 0 for extent in layer.shape[2:]):
        size = " x ".join(str(extent) for extent in layer.shape[2:])
        reasons.append(f"a {size} kernel has no centre: the tap before the middle")
    return "; ".join(reasons)


class OrthogonalConfig(Config):
    """The gain and the rule for biases."""

    gain: Gain = "auto"
    bias: Bias = "zero"
    head: Head = "own"


class Orthogonal(Initialiser[OrthogonalConfig]):
    """Preserves norms through linear layers, so that depth alone does not slow down learning."""

    name = "orthogonal"
    scope = Scope.POINTWISE
    summary = "random semi-orthogonal matrices times the gain of the activation that follows"
    citation = Citation(
        "Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep "
        "linear neural networks. ICLR 2014",
        "https://arxiv.org/abs/1312.6120",
    )
    version = "1"
    Config = OrthogonalConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            gain = gain_of(layer, self.config.gain)
            write(network, weight, orthogonal(layer, gain, job.generator))
            coverage.generated(weight, f"semi-orthogonal, {gain_text(layer, self.config.gain)}")
        settle_others(network, job, coverage, self.config.bias, self.config.head)
        return coverage


class DeltaOrthogonalConfig(Config):
    """The gain, the rule for biases, and what becomes of layers that do not fit."""

    gain: Gain = "auto"
    bias: Bias = "zero"
    head: Head = "own"
    misfit: Annotated[
        Literal["fallback", "refuse"],
        Field(description="narrowing layers and even kernels: the nearest thing, or refuse"),
    ] = "fallback"


class DeltaOrthogonal(Initialiser[DeltaOrthogonalConfig]):
    """Makes every convolution an isometry that looks at one pixel."""

    name = "delta_orthogonal"
    scope = Scope.POINTWISE
    summary = "an orthogonal matrix in the centre of each kernel, zeros around it"
    citation = Citation(
        "Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington: Dynamical Isometry and a Mean Field "
        "Theory of CNNs: How to Train 10,000-Layer Vanilla Convolutional Neural Networks. "
        "ICML 2018",
        "https://arxiv.org/abs/1806.05393",
    )
    version = "1"
    Config = DeltaOrthogonalConfig

    def supports(self, anatomy: Anatomy) -> Support:
        if self.config.misfit == "refuse":
            for layer, _ in weights(anatomy):
                if reason := misfit(layer):
                    return Support.no(f"layer `{layer.name}` does not fit: {reason}")
        return Support.yes()

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            gain, why = gain_of(layer, self.config.gain), gain_text(layer, self.config.gain)
            if layer.kind is LayerKind.LINEAR:
                write(network, weight, orthogonal(layer, gain, job.generator))
                coverage.generated(weight, f"semi-orthogonal, {why}")
                continue
            write(network, weight, delta_orthogonal(layer, gain, job.generator))
            if reason := misfit(layer):
                coverage.fallback(weight, f"{reason}, {why}")
            else:
                coverage.generated(weight, f"orthogonal in the centre of the kernel, {why}")
        settle_others(network, job, coverage, self.config.bias, self.config.head)
        return coverage
