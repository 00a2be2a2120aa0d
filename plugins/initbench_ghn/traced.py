"""Networks without weights of their own, and their graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from initbench_ghn.graph import Graph
from initbench_ghn.network import Tiles, parameters_of
from initbench_ghn.tracing import trace


class Networks(Protocol):
    """Networks by number; they may be made when they are asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> nn.Module: ...


@dataclass(frozen=True)
class Traced:
    """A network without weights of its own, as the hypernetwork sees it."""

    network: nn.Module
    graph: Graph
    shapes: Mapping[str, torch.Size]

    @classmethod
    def of(cls, network: nn.Module, image: tuple[int, int, int]) -> Traced:
        """Return a network for images of (channels, height, width)."""
        shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
        return cls(network, trace(network, image), shapes)

    def __call__(self, tiles: Tiles, images: Tensor) -> Tensor:
        """Return the logits (images, classes) with predicted weights."""
        weights = parameters_of(tiles, self.shapes)
        return functional_call(self.network, weights, (images,)).float()  # type: ignore[no-any-return]
