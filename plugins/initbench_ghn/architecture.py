"""What fixes the tensors of a graph hypernetwork."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from initbench_ghn.graph import Graph
from initbench_ghn.shapes import Size


@dataclass(frozen=True)
class Noise:
    """Noise at the end of each node state: `size` numbers of N(0, std^2)."""

    size: int = 8
    std: float = 1.0


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the tensors of a hypernetwork; defaults are GHN-2 for CIFAR-10."""

    hid: int = 32
    max_shape: Size = (64, 64, 11, 11)
    num_classes: int = 10
    hypernet: Literal["gatedgnn", "mlp"] = "gatedgnn"
    decoder: Literal["conv", "mlp"] = "conv"
    weight_norm: bool = True
    ve: bool = True
    layernorm: bool = True
    decoder_shape: Size | None = None
    """Of the decoder of weights, where it is not `max_shape`."""
    noise: Noise | None = None

    @property
    def tile(self) -> Size:
        """The largest tensor that is decoded: (outputs, inputs, height, width)."""
        return self.decoder_shape or self.max_shape


class Layers(nn.Module):
    """Layers below a name, as the checkpoints have them."""

    fc: nn.Sequential

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)


def with_offsets(graphs: Sequence[Graph]) -> Iterator[tuple[Graph, int]]:
    """Yield each graph with the number of nodes before it."""
    first = 0
    for graph in graphs:
        yield graph, first
        first += len(graph)
