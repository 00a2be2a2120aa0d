"""Uniform: weights that are equally likely anywhere in one range, whatever the layer.

Source: the zoos of Schürholt et al. 2022 (arXiv 2207.10951) on MNIST and SVHN. Their code draws
weights uniformly from 0 to 1, all positive and far wider than usual, and sets biases to 0.01; these
are the defaults here. It is a control: what a method makes of a start that no theory supports.

Deviations: none; the range is configurable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from initbench.api import Citation, Config, CoverageMap, Initialisation, Initialiser, Scope
from initbench_classical._layers import Bias, settle_others, weights, write

if TYPE_CHECKING:
    import torch

End = Annotated[float, Field(allow_inf_nan=False)]


class UniformConfig(Config):
    """The range of weights, and the rule for biases."""

    low: End = 0.0
    high: End = 1.0
    bias: Bias = 0.01

    @model_validator(mode="after")
    def _is_a_range(self) -> UniformConfig:
        if not self.low < self.high:
            raise ValueError(f"`high` must be above `low` ({self.low:g}), got {self.high:g}")
        return self


class Uniform(Initialiser[UniformConfig]):
    """Draws every weight from one range."""

    name = "uniform"
    scope = Scope.POINTWISE
    summary = "uniform in one range, the same for all layers (from 0 to 1)"
    citation = Citation(
        "Schürholt, Knyazev, Giró-i-Nieto, Borth: Hyper-Representations for Pre-Training and "
        "Transfer Learning. ICML 2022 workshop on pre-training",
        "https://arxiv.org/abs/2207.10951",
    )
    version = "1"
    Config = UniformConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        low, high = self.config.low, self.config.high
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            draw = torch.empty(layer.shape).uniform_(low, high, generator=job.generator)
            write(network, weight, draw)
            coverage.generated(weight, f"uniform from {low:g} to {high:g}")
        settle_others(network, job, coverage, self.config.bias)
        return coverage
