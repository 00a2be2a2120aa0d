"""Generators: from embeddings to the tensors of the main network.

Chang et al. 2020, section 4: W[i, j] = sum_k H[i, j, k] h(e)[k] + beta[i, j], with the hidden
layers h and a linear output layer H; section 4.3: blocks of filters as in Ha et al. 2017, with an
input layer for each block and an output layer for all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from initbench.models.activations import activation_module
from initbench.models.anatomy import GeneratedTensor, Layer, LayerKind, OutputLayer
from initbench.models.hypernetwork.config import BlockConfig, EmbeddingConfig, HypernetworkConfig
from initbench.models.hypernetwork.embeddings import Embeddings, linear_layer, plain_layer
from initbench.models.hypernetwork.tensors import Chosen


class Generator(nn.Module, ABC):
    """A network that generates the tensors of another one; `chosen` says which."""

    chosen: list[Chosen]

    @abstractmethod
    def forward(self, draw: int | None, task: int = 0) -> list[torch.Tensor]:
        """Return the tensors, in the order of `chosen`; `draw` and `task` as for `Embeddings`."""

    @abstractmethod
    def layers(self, prefix: str) -> list[Layer]:
        """Return what owns parameters, in forward order, as layers of the hypernetwork.

        Names begin with `prefix`; so do those of `outputs`.
        """

    @abstractmethod
    def outputs(self, prefix: str) -> list[OutputLayer]:
        """Return which output layer generates which tensors."""


def generator_for(chosen: Sequence[Chosen], config: HypernetworkConfig) -> Generator:
    """Return the generator that `config` asks for."""
    if config.sharing == "chunked":
        return BlockGenerator(chosen, config.embedding, config.blocks)
    return TensorGenerator(chosen, config)


class TensorGenerator(Generator):
    """An embedding a tensor, hidden layers for all, an output layer a tensor or a shape."""

    def __init__(self, chosen: Sequence[Chosen], config: HypernetworkConfig) -> None:
        super().__init__()
        kin: dict[object, list[Chosen]] = {}
        for i, tensor in enumerate(chosen):
            key = tensor.kinship if config.sharing == "per_shape" else i
            kin.setdefault(key, []).append(tensor)
        self._groups = list(kin.values())
        self.chosen = [tensor for group in self._groups for tensor in group]
        self._embedding_config = config.embedding
        self._activation = config.activation

        self.embeddings = Embeddings(len(chosen), config.embedding, config.tasks)
        self.hidden = nn.ModuleList()
        features = config.embedding.inputs
        for width in config.hidden:
            self.hidden.append(nn.Linear(features, width))
            features = width
        self._features = features
        self.activation = activation_module(config.activation)
        self.output_layers = nn.ModuleList(
            nn.Linear(features, math.prod(group[0].shape)) for group in self._groups
        )

    def forward(self, draw: int | None, task: int = 0) -> list[torch.Tensor]:
        features = self.embeddings(draw, task)  # (tensors, inputs)
        for layer in self.hidden:
            features = self.activation(layer(features))
        parts = features.split([len(group) for group in self._groups])
        return [
            row.view(tensor.shape)
            for part, group, layer in zip(parts, self._groups, self.output_layers, strict=True)
            for row, tensor in zip(layer(part).unbind(), group, strict=True)
        ]

    def layers(self, prefix: str) -> list[Layer]:
        return [
            self.embeddings.layer(f"{prefix}embeddings"),
            *[
                linear_layer(f"{prefix}hidden.{i}", layer, self._activation)
                for i, layer in enumerate(self.hidden)
            ],
            *[
                linear_layer(f"{prefix}output_layers.{i}", layer)
                for i, layer in enumerate(self.output_layers)
            ],
        ]

    def outputs(self, prefix: str) -> list[OutputLayer]:
        found, row = [], 0
        for i, group in enumerate(self._groups):
            tensors = []
            for tensor in group:
                tensors.append(_generated(tensor, self.embeddings.rows_of(row)))
                row += 1
            found.append(
                OutputLayer(
                    name=f"{prefix}output_layers.{i}",
                    tensors=tuple(tensors),
                    features=self._features,
                    embedding=f"{prefix}embeddings.{self.embeddings.parameter}",
                    embedding_variance=self._embedding_config.mean_square,
                )
            )
        return found


class BlockGenerator(Generator):
    """Blocks of filters: an embedding and an input layer each, and one output layer for all."""

    def __init__(
        self, chosen: Sequence[Chosen], embedding: EmbeddingConfig, blocks: BlockConfig
    ) -> None:
        super().__init__()
        self.chosen = list(chosen)
        self._embedding_config = embedding
        self._blocks = blocks
        self._counts = [math.prod(t.shape[:2]) // blocks.filters for t in self.chosen]
        self.embeddings = nn.ModuleList(Embeddings(count, embedding) for count in self._counts)
        self.input_layers = nn.ModuleList(
            BlockLinear(count, embedding.inputs, blocks.features) for count in self._counts
        )
        self.output_layer = nn.Linear(blocks.features, blocks.filters * blocks.kernel**2)

    def forward(self, draw: int | None, task: int = 0) -> list[torch.Tensor]:
        return [
            _assembled(self.output_layer(inputs(embeddings(draw))), tensor.shape, self._blocks)
            for tensor, embeddings, inputs in zip(
                self.chosen, self.embeddings, self.input_layers, strict=True
            )
        ]

    def layers(self, prefix: str) -> list[Layer]:
        found = []
        for i, (embeddings, inputs) in enumerate(
            zip(self.embeddings, self.input_layers, strict=True)
        ):
            assert isinstance(embeddings, Embeddings)
            assert isinstance(inputs, BlockLinear)
            found += [
                embeddings.layer(f"{prefix}embeddings.{i}"),
                inputs.layer(f"{prefix}input_layers.{i}"),
            ]
        return [*found, linear_layer(f"{prefix}output_layer", self.output_layer)]

    def outputs(self, prefix: str) -> list[OutputLayer]:
        return [
            OutputLayer(
                name=f"{prefix}input_layers.{i}",
                tensors=(_generated(tensor, (0, count)),),
                features=self._embedding_config.inputs,
                embedding=f"{prefix}embeddings.{i}.own",
                embedding_variance=self._embedding_config.mean_square,
                through=f"{prefix}output_layer",
            )
            for i, (tensor, count) in enumerate(zip(self.chosen, self._counts, strict=True))
        ]


class BlockLinear(nn.Module):
    """A linear layer for each block: row b of the input is that of block b."""

    def __init__(self, blocks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.blocks = blocks
        # As `nn.Linear` draws them.
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(blocks * outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(blocks * outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (blocks, outputs) for `x` of (blocks, inputs)."""
        weight = self.weight.view(self.blocks, -1, self.weight.shape[1])
        return (weight @ x.unsqueeze(2)).squeeze(2) + self.bias.view(self.blocks, -1)

    def layer(self, name: str) -> Layer:
        """Return this module as a layer of the hypernetwork, called `name`."""
        return plain_layer(
            name,
            LayerKind.LINEAR,
            f"{name}.weight",
            tuple(self.weight.shape),
            bias=f"{name}.bias",
            groups=self.blocks,
        )


def _assembled(values: torch.Tensor, shape: tuple[int, ...], blocks: BlockConfig) -> torch.Tensor:
    """Return a weight (out, in, kernel, kernel) made of blocks, a row of `values` each.

    A block holds filters of several outputs for one input or, where the outputs do not divide by
    their number, of several inputs for one output.
    """
    outputs, inputs = shape[:2]
    size, filters = blocks.kernel, blocks.filters
    if outputs % filters == 0:
        parts = values.view(outputs // filters, inputs, filters, size, size)
        return parts.transpose(1, 2).reshape(shape)
    parts = values.view(inputs // filters, outputs, filters, size, size)
    return parts.transpose(0, 1).reshape(shape)


def _generated(tensor: Chosen, rows: tuple[int, int]) -> GeneratedTensor:
    return GeneratedTensor(tensor.layer, tensor.is_bias, tensor.with_bias, rows)
