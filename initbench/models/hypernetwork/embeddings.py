"""Embeddings: what tensors are generated from, one row for each tensor or block."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from initbench.models.anatomy import Layer, LayerKind, LayerRole
from initbench.models.hypernetwork.config import EmbeddingConfig


class Embeddings(nn.Module):
    """So many embeddings, trained or fixed, with noise where it is asked for.

    What they share is other numbers for each of several tasks.

    Fixed ones are parameters without a gradient: an initialiser may set them, an optimiser not.
    The noise of testing is drawn once, so that a network has the same test accuracy each time.
    """

    test_noise: torch.Tensor | None  # (draws, count, inputs)

    def __init__(self, count: int, config: EmbeddingConfig, tasks: int = 1) -> None:
        super().__init__()
        self.count = count
        self.half_width = config.noise

        def parameter(rows: int, size: int, variance: float) -> nn.Parameter | None:
            if size == 0:
                return None
            values = _drawn((rows, size), variance, config.distribution)
            return nn.Parameter(values, requires_grad=config.trainable)

        self.own = parameter(count, config.size, config.variance)
        self.shared = parameter(tasks, config.shared, config.shared_variance)
        noise = None
        if config.noise:
            noise = _noise((config.draws, count, config.inputs), config.noise)
        self.register_buffer("test_noise", noise)

    def forward(self, draw: int | None, task: int = 0) -> torch.Tensor:
        """Return the embeddings (count, inputs) for a task.

        `draw` says which noise, None for fresh noise.
        """
        parts = []
        if self.shared is not None:
            parts.append(self.shared[task].expand(self.count, -1))
        if self.own is not None:
            parts.append(self.own)
        embeddings = torch.cat(parts, 1)
        if self.test_noise is None:
            return embeddings
        if draw is None:
            fresh = 2 * torch.rand_like(embeddings) - 1
            return embeddings + self.half_width * fresh
        return embeddings + self.test_noise[draw]

    @property
    def parameter(self) -> str:
        """The parameter that tells tensors apart, or the shared one where there is no other."""
        return "shared" if self.own is None else "own"

    def rows_of(self, tensor: int) -> tuple[int, int]:
        """Return the rows of this parameter that belong to a tensor: from, and up to without."""
        return (0, 1) if self.own is None else (tensor, tensor + 1)

    def layer(self, name: str) -> Layer:
        """Return this module as a layer of the hypernetwork, called `name`."""
        owned = {f"{name}.{local}": p for local, p in self.named_parameters()}
        first, *others = owned
        return plain_layer(name, LayerKind.EMBEDDING, first, tuple(owned[first].shape), others)


def plain_layer(
    name: str,
    kind: LayerKind,
    weight: str,
    shape: tuple[int, ...],
    others: list[str] | None = None,
    *,
    bias: str | None = None,
    groups: int = 1,
    activation: str = "identity",
) -> Layer:
    """Return a layer of the hypernetwork itself; none is the stem or the head of a network."""
    inputs, outputs = (0, 0) if kind is LayerKind.EMBEDDING else (shape[1], shape[0] // groups)
    return Layer(
        name=name,
        kind=kind,
        role=LayerRole.HIDDEN,
        weight=weight,
        bias=bias,
        others=tuple(others or ()),
        shape=shape,
        groups=groups,
        fan_in=inputs,
        fan_out=outputs,
        activation=activation,
        activation_parameter=None,
        activation_from="traced",
    )


def linear_layer(name: str, module: nn.Module, activation: str = "identity") -> Layer:
    """Return a linear module of the hypernetwork, called `name`, as a layer."""
    weight = module.get_parameter("weight")
    return plain_layer(
        name,
        LayerKind.LINEAR,
        f"{name}.weight",
        (weight.shape[0], weight.shape[1]),
        bias=f"{name}.bias",
        activation=activation,
    )


def _drawn(
    shape: tuple[int, ...], variance: float, distribution: Literal["uniform", "normal"]
) -> torch.Tensor:
    values = torch.empty(shape)
    if distribution == "normal":
        return values.normal_(0, math.sqrt(variance))
    bound = math.sqrt(3 * variance)
    return values.uniform_(-bound, bound)


def _noise(shape: tuple[int, ...], half_width: float) -> torch.Tensor:
    return torch.empty(shape).uniform_(-half_width, half_width)
