"""Truncated normal: one standard deviation for all layers, whatever their fans.

Source: the custom of transformers; Devlin et al. 2019 (BERT) draw their weights with standard
deviation 0.02 from a normal distribution cut at two standard deviations.
Deviations: embeddings stay as they are; BERT draws them like other weights. As in BERT's code,
`std` is that of the normal before it is cut: cut at 2, the weights themselves have 0.88 of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.api import Citation, Config, CoverageMap, Initialisation, Initialiser, Scope
from initbench_classical._layers import Bias, Head, settle_others, weights, write

if TYPE_CHECKING:
    import torch


class TruncatedNormalConfig(Config):
    """The normal's standard deviation, where it is cut (in standard deviations), and biases."""

    std: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="of the normal, before it is cut")
    ] = 0.02
    cut: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="in standard deviations")
    ] = 2.0
    bias: Bias = "zero"
    head: Head = "own"


class TruncatedNormal(Initialiser[TruncatedNormalConfig]):
    """Draws all weights from the same normal distribution without tails."""

    name = "truncated_normal"
    scope = Scope.POINTWISE
    summary = "normal with one standard deviation for all layers, cut at two of them"
    citation = Citation(
        "Devlin, Chang, Lee, Toutanova: BERT: Pre-training of Deep Bidirectional Transformers for "
        "Language Understanding. NAACL 2019",
        "https://arxiv.org/abs/1810.04805",
    )
    version = "1"
    Config = TruncatedNormalConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        std, bound = self.config.std, self.config.cut * self.config.std
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            values = torch.nn.init.trunc_normal_(
                torch.empty(layer.shape), 0.0, std, -bound, bound, generator=job.generator
            )
            write(network, weight, values)
            coverage.generated(weight, f"normal of std {std:g} cut at {bound:g}")
        settle_others(network, job, coverage, self.config.bias, self.config.head)
        return coverage
