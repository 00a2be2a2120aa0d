"""Xavier, He and LeCun: independent weights whose variance is set by the fans of the layer.

| method | paper | variance of a weight |
| --- | --- | --- |
| Xavier | Glorot & Bengio 2010, equations 12 and 16 | gain^2 * 2 / (fan_in + fan_out), gain 1 |
| He | He et al. 2015, equations 10, 14 and 15 | gain^2 / fan_in or / fan_out, sqrt(2) for ReLU |
| LeCun | LeCun et al. 1998, equation 16 | 1 / fan_in |

Deviations:
- Either distribution is offered for each method, with the same variance. Glorot & Bengio draw
  uniformly, He et al. normally, LeCun et al. leave it open.
- He et al. derive the factor 2 from the ReLU. Here the gain follows the activation that really
  follows the layer, so the classifier, which none follows, gets 1. `gain: relu` is variance
  2 / fan_in everywhere, classifier included, as in Harder et al. 2023.
- The gain of Xavier is 1 throughout, as in the paper; `gain: auto` is a later custom.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.api import Citation, Config, CoverageMap, Initialisation, Initialiser, Scope
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

Distribution = Annotated[
    Literal["normal", "uniform"], Field(description="of the weights; the variance is the same")
]


def draw(
    shape: tuple[int, ...],
    variance: float,
    distribution: Distribution,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw independent values of mean 0 and the given variance."""
    import torch

    values = torch.empty(shape)
    if distribution == "normal":
        return torch.nn.init.normal_(values, std=math.sqrt(variance), generator=generator)
    bound = math.sqrt(3 * variance)
    return torch.nn.init.uniform_(values, -bound, bound, generator=generator)


class XavierConfig(Config):
    """The distribution, the gain (1 in the paper) and the rule for biases."""

    distribution: Distribution = "normal"
    gain: Gain = 1.0
    bias: Bias = "zero"
    head: Head = "own"


class Xavier(Initialiser[XavierConfig]):
    """Keeps the variance of activations and of gradients, as far as both can be had."""

    name = "xavier"
    scope = Scope.POINTWISE
    summary = "variance 2 / (fan-in + fan-out)"
    citation = Citation(
        "Glorot, Bengio: Understanding the difficulty of training deep feedforward neural "
        "networks. AISTATS 2010",
        "https://proceedings.mlr.press/v9/glorot10a.html",
    )
    version = "1"
    Config = XavierConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        config = self.config
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            variance = gain_of(layer, config.gain) ** 2 * 2 / (layer.fan_in + layer.fan_out)
            write(network, weight, draw(layer.shape, variance, config.distribution, job.generator))
            coverage.generated(
                weight,
                f"{config.distribution}, variance gain^2 * 2 / (fan-in + fan-out), "
                f"{gain_text(layer, config.gain)}",
            )
        settle_others(network, job, coverage, config.bias, config.head)
        return coverage


class HeConfig(Config):
    """The distribution, the fan that counts, the gain and the rule for biases."""

    distribution: Distribution = "normal"
    mode: Annotated[
        Literal["fan_in", "fan_out"],
        Field(description="keep the variance of activations (fan_in) or of gradients (fan_out)"),
    ] = "fan_in"
    gain: Gain = "auto"
    bias: Bias = "zero"
    head: Head = "own"


class He(Initialiser[HeConfig]):
    """Keeps the variance of activations (fan-in) or of gradients (fan-out) through rectifiers."""

    name = "he"
    scope = Scope.POINTWISE
    summary = "variance gain^2 / fan-in, where the gain is that of the activation that follows"
    citation = Citation(
        "He, Zhang, Ren, Sun: Delving Deep into Rectifiers: Surpassing Human-Level Performance on "
        "ImageNet Classification. ICCV 2015",
        "https://arxiv.org/abs/1502.01852",
    )
    version = "1"
    Config = HeConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        config = self.config
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            fan = layer.fan_in if config.mode == "fan_in" else layer.fan_out
            variance = gain_of(layer, config.gain) ** 2 / fan
            write(network, weight, draw(layer.shape, variance, config.distribution, job.generator))
            coverage.generated(
                weight,
                f"{config.distribution}, variance gain^2 / {config.mode.replace('_', '-')}, "
                f"{gain_text(layer, config.gain)}",
            )
        settle_others(network, job, coverage, config.bias, config.head)
        return coverage


class LeCunConfig(Config):
    """The distribution and the rule for biases."""

    distribution: Distribution = "normal"
    bias: Bias = "zero"
    head: Head = "own"


class LeCun(Initialiser[LeCunConfig]):
    """Keeps the variance of what a linear layer passes on."""

    name = "lecun"
    scope = Scope.POINTWISE
    summary = "variance 1 / fan-in"
    citation = Citation(
        "LeCun, Bottou, Orr, Müller: Efficient BackProp. Neural Networks: Tricks of the Trade, "
        "1998",
        "https://doi.org/10.1007/3-540-49430-8_2",
    )
    version = "1"
    Config = LeCunConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        config = self.config
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            values = draw(layer.shape, 1 / layer.fan_in, config.distribution, job.generator)
            write(network, weight, values)
            coverage.generated(weight, f"{config.distribution}, variance 1 / fan-in")
        settle_others(network, job, coverage, config.bias, config.head)
        return coverage
