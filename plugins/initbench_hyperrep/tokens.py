"""Networks as vectors, and vectors as tokens (Schürholt et al. 2021, section 3; 2022, section 2).

A network is one vector: layer after layer in forward order, the weight in C order (out, in, row,
column), then one vector after another of those that hold a number for each neuron. A token is one
neuron or output channel: its incoming weights, then its number of each of these vectors.

Deviations, for networks that the papers do not have:
- Scale and shift of a norm that follows a layer are such vectors, like the bias. Running statistics
  are no parameters and are in no token; whoever decodes a network has to estimate them anew.
- Each layer has an embedding of its own, so tokens of different lengths need no padding to a
  common one, however deep the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from initbench.api import Anatomy, Layer, LayerKind, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TokenLayer:
    """One layer of a network, as a block of the vector."""

    weight: str
    """Name of the parameter."""
    shape: tuple[int, ...]
    """Of the weight: (neurons, inputs, ...)."""
    vectors: tuple[str, ...]
    """Names of the parameters with one number a neuron: bias, scale and shift of a norm."""
    kernel: int
    """Weights that a neuron has for one neuron before: kernel positions, or, behind a flatten,
    positions of a channel."""

    @property
    def neurons(self) -> int:
        return self.shape[0]

    @property
    def fan(self) -> int:
        """Weights of a neuron."""
        return math.prod(self.shape[1:])

    @property
    def channels(self) -> int:
        """Neurons before that a neuron is connected to."""
        return self.fan // self.kernel

    @property
    def length(self) -> int:
        """Of a token."""
        return self.fan + len(self.vectors)

    @property
    def size(self) -> int:
        """Of the block."""
        return self.neurons * self.length

    def blocks(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """View a block as weights (rows, neurons, fan), vectors (rows, vectors, neurons)."""
        weights, vectors = block.split(
            [self.neurons * self.fan, self.neurons * len(self.vectors)], dim=1
        )
        return (
            weights.unflatten(1, (self.neurons, self.fan)),
            vectors.unflatten(1, (len(self.vectors), self.neurons)),
        )

    def tokens(self, block: Tensor) -> Tensor:
        """Return (rows, size) as tokens, (rows, neurons, length)."""
        import torch

        weights, vectors = self.blocks(block)
        return torch.cat([weights, vectors.mT], dim=2)

    def untokened(self, tokens: Tensor) -> Tensor:
        """Return tokens (rows, neurons, length) as (rows, size)."""
        import torch

        weights, vectors = tokens.split([self.fan, len(self.vectors)], dim=2)
        return torch.cat([weights.flatten(1), vectors.mT.flatten(1)], dim=1)


@dataclass(frozen=True)
class TokenTable:
    """How the networks of one architecture are laid out as vectors and tokens."""

    layers: tuple[TokenLayer, ...]

    @classmethod
    def of(cls, anatomy: Anatomy) -> TokenTable:
        """Return the table of an architecture.

        Raises UnsupportedError for a network with parameters that are in no token.
        """
        layers: list[TokenLayer] = []
        for layer in anatomy:
            if layer.kind in (LayerKind.CONV, LayerKind.LINEAR) and layer.weight is not None:
                layers.append(_token_layer(layer, layers[-1] if layers else None))
            elif _follows(layer, layers[-1] if layers else None):
                vectors = tuple(name for name in (layer.weight, layer.bias) if name is not None)
                layers[-1] = _with(layers[-1], vectors)
            else:
                raise UnsupportedError(
                    f"`{layer.name}` is neither a convolution, nor a linear layer, nor a norm "
                    "behind one with a number for each neuron"
                )
        if not layers:
            raise UnsupportedError("it has no convolution and no linear layer")
        return cls(tuple(layers))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where the block of each layer starts in the vector."""
        sizes = [layer.size for layer in self.layers]
        return tuple(sum(sizes[:i]) for i in range(len(sizes)))

    @property
    def size(self) -> int:
        """Of the vector."""
        return sum(layer.size for layer in self.layers)

    @property
    def tokens(self) -> int:
        """Of a network."""
        return sum(layer.neurons for layer in self.layers)

    def blocks(self, rows: Tensor) -> list[Tensor]:
        """View vectors (rows, size) as the blocks of the layers."""
        return list(rows.split([layer.size for layer in self.layers], dim=1))

    def flatten(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return a state dictionary as a vector (size,), float32 on the CPU.

        Raises UnsupportedError where a parameter is missing or of another shape.
        """
        import torch

        parts = []
        for layer in self.layers:
            shapes = {layer.weight: layer.shape, **dict.fromkeys(layer.vectors, (layer.neurons,))}
            for name, shape in shapes.items():
                found = tuple(state[name].shape) if name in state else None
                if found != shape:
                    raise UnsupportedError(
                        f"the networks are of another architecture: expected `{name}` of shape "
                        f"{shape}, got {found or 'none'}"
                    )
                parts.append(state[name].detach().float().cpu().flatten())
        return torch.cat(parts)

    def state(self, vector: Tensor) -> dict[str, Tensor]:
        """Return a vector (size,) as parameters by name."""
        found = {}
        for layer, block in zip(self.layers, self.blocks(vector[None]), strict=True):
            weights, vectors = layer.blocks(block)
            found[layer.weight] = weights.reshape(layer.shape)
            found |= dict(zip(layer.vectors, vectors[0], strict=True))
        return found

    def tree(self) -> list[dict[str, Any]]:
        """Return the plain form that an artifact's description holds."""
        return [
            {
                "weight": x.weight,
                "shape": list(x.shape),
                "vectors": list(x.vectors),
                "kernel": x.kernel,
            }
            for x in self.layers
        ]

    @classmethod
    def from_tree(cls, tree: Sequence[Mapping[str, Any]]) -> TokenTable:
        return cls(
            tuple(
                TokenLayer(x["weight"], tuple(x["shape"]), tuple(x["vectors"]), x["kernel"])
                for x in tree
            )
        )


def _token_layer(layer: Layer, before: TokenLayer | None) -> TokenLayer:
    assert layer.weight is not None
    fan = math.prod(layer.shape[1:])
    if layer.others or layer.fan_in != fan:
        what = "is transposed" if layer.fan_in != fan else "has parameters besides weight and bias"
        raise UnsupportedError(f"`{layer.name}` {what}")
    kernel = layer.receptive_field
    if layer.kind is LayerKind.LINEAR and before is not None and fan % before.neurons == 0:
        kernel = fan // before.neurons
    vectors = () if layer.bias is None else (layer.bias,)
    return TokenLayer(layer.weight, layer.shape, vectors, kernel)


def _follows(layer: Layer, before: TokenLayer | None) -> bool:
    """Whether a layer is a norm with a number for each neuron of the layer before."""
    if layer.kind is not LayerKind.NORM or before is None or layer.others:
        return False
    return layer.shape in ((), (before.neurons,))


def _with(layer: TokenLayer, vectors: tuple[str, ...]) -> TokenLayer:
    return TokenLayer(layer.weight, layer.shape, layer.vectors + vectors, layer.kernel)
