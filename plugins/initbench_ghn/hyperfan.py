"""Starting a graph hypernetwork by hyperfan-in (Chang et al. 2020, section 4).

The layer of a hypernetwork that puts out weights gets the variance at which the generated weights
W of a layer with fan-in k keep the variance of activations under ReLU, Var(W) = 2 / k. Hidden
layers are He's. A graph hypernetwork puts out V, and its normalisation makes W = sqrt(2 / k) V of
it, so what is asked for is Var(V) = 1, for all layers at once:

    Var(first layer) = 1 / (inputs * mean square of a node state), for an output of variance 1
    Var(others) = 2 / inputs, behind a ReLU, which halves the mean square
    biases 0

The weight of the classifier follows a ReLU over V and has the same rule. What is decoded to vectors
(norms, biases) starts as PyTorch has it: near scale 1 and shift 0 by itself.

Deviation: kernels that the normalisation gives the variance 1 / k (one input channel) keep that.

Limit: nodes that are alike get weights that are nearly equal, where the theory has independent
ones. A deep network without norms can still blow up: eight equal layers do.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from initbench.api import UserError
from initbench_ghn.decoders import ConvDecoder
from initbench_ghn.network import GHN


@torch.no_grad()
def hyperfan(ghn: GHN, generator: torch.Generator) -> None:
    """Draw the decoder of weights anew, uniformly, as in all experiments of the paper.

    Raises UserError if the hypernetwork does not normalise its nodes or the weights it predicts.
    """
    architecture, decoder = ghn.architecture, ghn.decoder
    if ghn.ln is None or not architecture.weight_norm:
        raise UserError("`hyperfan` needs a graph hypernetwork that normalises nodes and weights")
    if isinstance(decoder, ConvDecoder):
        first, *others = decoder.fc[0], decoder.conv[0], decoder.conv[2]
    else:
        first, *others = decoder.mlp.fc[0], decoder.mlp.fc[2]
    noise = architecture.noise
    squares = float(ghn.ln.weight.square().sum() + ghn.ln.bias.square().sum())
    _draw(first, 1 / (squares + (noise.size * noise.std**2 if noise else 0)), generator)
    for layer in (*others, decoder.class_layer_predictor[1]):
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        _draw(layer, 2 / layer.weight[0].numel(), generator)


def _draw(layer: nn.Module, variance: float, generator: torch.Generator) -> None:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    drawn = 2 * torch.rand(layer.weight.shape, generator=generator) - 1
    layer.weight.copy_(math.sqrt(3 * variance) * drawn)
    layer.bias.zero_()
