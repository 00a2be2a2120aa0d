"""The control: a hypernetwork that generates once, and is gone.

Own control for Chang et al. 2020: an ordinary network gets the weights that a linear hypernetwork
under hyperfan generates before training. Each is a sum of d_k independent products, so this is
nearly a normal distribution of the classical fan-in or fan-out variance, times the length of one
embedding a tensor. No difference to He's or Xavier's initialisation is to be expected; hyperfan
works through training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.api import (
    Anatomy,
    Config,
    CoverageMap,
    GeneratedTensor,
    Initialisation,
    Initialiser,
    OutputLayer,
    Scope,
    Support,
)
from initbench_hyperfan._networks import Distribution, draw, settle_rest, write
from initbench_hyperfan.hyperfan import CITATION
from initbench_hyperfan.variances import Mode, hyperfan_variance

if TYPE_CHECKING:
    import torch

_AT_ONCE = 2**22
"""Weights of an output layer that are held at a time: 16 MiB, for any size of tensor."""


class OneshotConfig(Config):
    """The fan that counts, the size of embeddings, and the distribution of output layers."""

    mode: Annotated[
        Mode, Field(description="keep the variance of activations (in) or of gradients (out)")
    ] = "in"
    embedding: Annotated[int, Field(ge=1, description="numbers that a tensor is made from")] = 50
    distribution: Distribution = "uniform"


class HypernetOneshot(Initialiser[OneshotConfig]):
    """Generates the weights of an ordinary network once, with a hyperfan hypernetwork."""

    name = "hypernet_oneshot"
    scope = Scope.POINTWISE
    summary = "ordinary networks: weights from a hyperfan hypernetwork that is not kept"
    citation = CITATION
    version = "1"
    Config = OneshotConfig

    def supports(self, anatomy: Anatomy) -> Support:
        if anatomy.main is not None:
            return Support.no(
                "its weights are generated already, so there is nothing to copy them into; use "
                "`hyperfan`, or the main network itself"
            )
        return Support.yes()

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        size = self.config.embedding
        coverage = CoverageMap.of(network)
        settle_rest(network, job, coverage, self.config.distribution)
        for layer in job.anatomy.weight_layers():
            if layer.weight is None or 0 in layer.shape:
                continue
            embedding = draw((size,), 1.0, "uniform", job.generator)
            tensor = GeneratedTensor(layer, is_bias=False, with_bias=False, rows=(0, 1))
            output = OutputLayer("", (tensor,), size, "", embedding_variance=1.0)
            variance = hyperfan_variance(self.config.mode, tensor, output)
            elements = math.prod(layer.shape)
            parts = [
                draw((count, size), variance, self.config.distribution, job.generator) @ embedding
                for count in _shares(elements, max(1, _AT_ONCE // size))
            ]
            write(network, layer.weight, torch.cat(parts).view(layer.shape))
            coverage.generated(layer.weight, f"generated, variance {variance * size:.4g}")
        return coverage


def _shares(total: int, most: int) -> list[int]:
    """Return numbers of at most `most` that add up to `total`."""
    return [min(most, total - start) for start in range(0, total, most)]
