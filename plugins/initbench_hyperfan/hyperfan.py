"""Hyperfan: the scale of generated weights is set where they are generated.

Chang, Flokas & Lipson 2020, table 1 and section 4.3; the formulas are in `variances`.
Deviations:
- Either distribution is offered; all experiments of the paper draw uniformly.
- Blocks of filters: the paper's formula has neither r nor s; here they follow from table 1.
- Noise on embeddings counts in Var(e), which the paper leaves out (a third of a percent there).
- Convolutions: the gap that hyperfan-out fills with biases stays 1 - d_j / d_i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.api import (
    Anatomy,
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
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
)
from initbench_hyperfan.variances import Mode, hyperfan_variance

if TYPE_CHECKING:
    import torch

    from initbench.api import OutputLayer

CITATION = Citation(
    "Chang, Flokas, Lipson: Principled Weight Initialization for Hypernetworks. ICLR 2020",
    "https://arxiv.org/abs/2312.08399",
)


class HyperfanConfig(Config):
    """The fan that counts, and the distribution."""

    mode: Annotated[
        Mode, Field(description="keep the variance of activations (in) or of gradients (out)")
    ] = "in"
    distribution: Distribution = "uniform"


class Hyperfan(Initialiser[HyperfanConfig]):
    """Draws the output layers of a hypernetwork so that generated weights have the right scale."""

    name = "hyperfan"
    scope = Scope.POINTWISE
    summary = "hypernetworks: generated weights get the variance of fan-in or fan-out"
    citation = CITATION
    version = "1"
    Config = HyperfanConfig

    def supports(self, anatomy: Anatomy) -> Support:
        support = needs_hypernetwork(anatomy)
        if not support.supported:
            return support
        for output in anatomy.outputs:
            if len(self._variances(output)) > 1:
                return Support.no(
                    f"`{output.name}` generates tensors that need different variances, first "
                    f"`{output.tensors[0].name}`; give them output layers of their own"
                )
        return Support.yes()

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        config, outputs = self.config, job.anatomy.outputs
        coverage = CoverageMap.of(network)
        for output in outputs:
            (variance,) = self._variances(output)
            scale_layer(network, job, coverage, output.name, variance, config.distribution)
        for name in shared_layers(job.anatomy):
            variance = 1 / layer_of(job.anatomy, name).fan_in
            scale_layer(network, job, coverage, name, variance, config.distribution)
        settle_rest(network, job, coverage, config.distribution)
        return coverage

    def _variances(self, output: OutputLayer) -> set[float]:
        return {hyperfan_variance(self.config.mode, t, output) for t in output.tensors}
