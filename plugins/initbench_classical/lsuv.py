"""LSUV: orthonormal weights, then each layer scaled until its output has variance 1 on real images.

Source: Mishkin & Matas 2016, "All you need is a good init", algorithm 1.

    pre-initialise every layer with orthonormal matrices
    for each layer L, from the first to the last:
        while |Var(B_L) - 1| >= Tol_var and T_i < T_max:
            forward the batch;  B_L is the output blob of L, W_L its weights
            W_L = W_L / sqrt(Var(B_L));  T_i = T_i + 1

Algorithm 1 names Tol_var and T_max without values; 0.1 and 10 are the defaults of the authors' code
for PyTorch (where 0.1 bounds the standard deviation).

Deviations:
- One forward pass does it all: each layer is scaled while the batch passes through it, so what the
  next layer sees comes from the scaled one. The weights are those of the algorithm.
- Groups of a convolution are maps of their own, so each of them gets a matrix of its own.
- The network is in evaluation mode, as in the authors' code: no dropout, and a fresh batch norm
  passes on what it gets. Modes and buffers are left as they were.
- A layer that is called several times is scaled by its first call. One that is never called as a
  module (the output projection of attention) stays orthonormal, and so does one whose output has
  no variance; both are recorded as fallbacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from initbench.api import Citation, Config, CoverageMap, Initialisation, Initialiser, Scope
from initbench_classical._layers import Bias, settle_others, weights, write
from initbench_classical.orthogonal import orthogonal

if TYPE_CHECKING:
    import torch


class LSUVConfig(Config):
    """How many images to show, how close to 1 is close enough, how often to try, and biases."""

    images: Annotated[int, Field(ge=2, description="training images in the batch")] = 256
    tolerance: Annotated[
        float, Field(gt=0, lt=1, description="largest distance of a variance from 1")
    ] = 0.1
    iterations: Annotated[int, Field(ge=1, description="most rescalings of one layer")] = 10
    bias: Bias = "zero"


class LSUV(Initialiser[LSUVConfig]):
    """Gives every layer an output of variance 1 on a batch of training images."""

    name = "lsuv"
    scope = Scope.POINTWISE
    summary = "orthonormal, then scaled layer by layer to output variance 1 on training images"
    citation = Citation(
        "Mishkin, Matas: All you need is a good init. ICLR 2016",
        "https://arxiv.org/abs/1511.06422",
    )
    version = "1"
    Config = LSUVConfig

    def images_needed(self) -> int:
        return self.config.images

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        if job.batch is None:
            raise ValueError("`lsuv` needs a batch of training images, got none")
        coverage = CoverageMap.of(network)
        for layer, weight in weights(job.anatomy):
            write(network, weight, orthogonal(layer, 1.0, job.generator))
            coverage.fallback(weight, "orthonormal, not scaled: its layer is never called")
        settle_others(network, job, coverage, self.config.bias)

        like = next(network.parameters(), job.batch.images)
        with torch.no_grad(), _evaluating(network), ExitStack() as hooks:
            for layer, weight in weights(job.anatomy):
                module = network.get_submodule(layer.name)
                hook = _Scaling(weight, self.config, coverage)
                handle = module.register_forward_hook(hook, with_kwargs=True)
                hooks.callback(handle.remove)
            network(job.batch.images.to(like.device, like.dtype))
        return coverage


class _Scaling:
    """The forward hook of one layer: scales its weight and passes on what the scaled layer says."""

    def __init__(self, weight: str, config: LSUVConfig, coverage: CoverageMap) -> None:
        self.weight = weight
        self.config = config
        self.coverage = coverage
        self.called = False

    def __call__(
        self, layer: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        if self.called:
            return output
        self.called = True
        weight = layer.get_parameter("weight")
        variance = _variance(output)
        tries = 0
        # Written so that a variance that is not a number enters the loop, and leaves it below.
        while not abs(variance - 1) < self.config.tolerance and tries < self.config.iterations:
            if not 0 < variance < math.inf:
                reason = f"orthonormal, not scaled: the variance of its output is {variance}"
                self.coverage.fallback(self.weight, reason)
                return output
            weight.div_(math.sqrt(variance))
            output = layer.forward(*args, **kwargs)
            variance = _variance(output)
            tries += 1
        self.coverage.generated(
            self.weight, f"orthonormal, output variance {variance:.3f} after {tries} rescalings"
        )
        return output


def _variance(output: torch.Tensor) -> float:
    """Return Var(B_L): over all elements of the output, images and positions alike."""
    return float(output.float().var(correction=0))


@contextmanager
def _evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and each back into the mode it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
