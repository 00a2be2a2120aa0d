"""Graph hypernetworks GHN-1 and GHN-2 (Knyazev et al. 2021) and the Noise GHN (Harder et al. 2023).

Three steps: node features (3.2, shape encoding), one round of the gated graph network forward and
backward with virtual edges (equations 3 and 4), decoding with normalisation (3.3). Names and shapes
of tensors are those of the released checkpoints.

Facts of the released weights that the papers do not have:
- Direct neighbours are counted twice, once through each of the two message functions.
- Both message functions end with a ReLU.
- The kernel of a weight is the top left corner of what is decoded.

Deviations, none of which changes a number beyond rounding: nodes of equal depth, of all graphs of a
batch, are updated together; each group of equal tile size is decoded at once, and only the
channels and positions that are wanted; normalisation is before repetition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from initbench_ghn.architecture import Architecture, Layers, with_offsets
from initbench_ghn.decoders import ConvDecoder, MLPDecoder
from initbench_ghn.graph import PRIMITIVES, Graph
from initbench_ghn.propagation import Batch, GatedGNN, NodeMLP, one_thread
from initbench_ghn.shapes import Size, channel_table, indices, repeated, scale, spatial_table

NODES_AT_ONCE = 64
"""Of one tile size: more would only take more memory."""

Tiles = dict[str, Tensor]
"""By parameter: normalised values, no larger than the decoder's, to be repeated to the shape."""


class GHN(nn.Module):
    """Predicts the parameters of networks from their graphs."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = a = architecture or Architecture()
        d, widest = a.hid, max(a.max_shape[:2])
        self.ln = nn.LayerNorm(d) if a.layernorm else None
        self.embed = nn.Embedding(len(PRIMITIVES), d)
        self.shape_enc = _ShapeEncoder(d, a.num_classes, a.max_shape[3])
        self.gnn = GatedGNN(d, a.ve) if a.hypernet == "gatedgnn" else NodeMLP(d)
        self.decoder = ConvDecoder(a) if a.decoder == "conv" else MLPDecoder(a)
        self.decoder_1d = Layers(
            fc=nn.Sequential(nn.Linear(d, 2 * d), nn.ReLU(), nn.Linear(2 * d, 2 * widest))
        )
        self.bias_class = nn.Sequential(nn.ReLU(), nn.Linear(widest, a.num_classes))

    def forward(
        self, graphs: Sequence[Graph], noise: Sequence[Tensor] | None = None
    ) -> list[Tiles]:
        """Return the tiles of each graph; `noise` as `decode` wants it."""
        return self.decode(graphs, self.embeddings(graphs), noise)

    def embeddings(self, graphs: Sequence[Graph]) -> list[Tensor]:
        """Return the state of each node after the graph network, (nodes, d) for each graph."""
        states = self.features(graphs)
        if isinstance(self.gnn, GatedGNN):
            with one_thread():
                states = self.gnn(states, Batch.of(graphs, states.device))
        else:
            states = self.gnn(states)
        if self.ln is not None:
            states = self.ln(states)
        return list(states.split([len(graph) for graph in graphs]))

    def features(self, graphs: Sequence[Graph]) -> Tensor:
        """Return the first states of the nodes of all graphs, one graph after another."""
        nodes = [node for graph in graphs for node in graph.nodes]
        device = self.embed.weight.device
        primitives = [PRIMITIVES.index(node.primitive) for node in nodes]
        kinds = self.embed(torch.tensor(primitives, device=device))
        return kinds + self.shape_enc([node.size for node in nodes])  # type: ignore[no-any-return]

    def draw_noise(self, graph: Graph, generator: torch.Generator) -> Tensor | None:
        """Draw noise for each node of a graph; None for a hypernetwork without."""
        noise = self.architecture.noise
        if noise is None:
            return None
        drawn = torch.randn(len(graph), noise.size, generator=generator)
        return (noise.std * drawn).to(self.embed.weight.device)

    def decode(
        self,
        graphs: Sequence[Graph],
        embeddings: Sequence[Tensor],
        noise: Sequence[Tensor] | None = None,
    ) -> list[Tiles]:
        """Return the tiles of each graph.

        Args:
            graphs: the same one may be there several times, for several draws of noise.
            embeddings: (nodes, d) for each of them.
            noise: (nodes, noise size) for each of them, where the hypernetwork has noise.
        """
        if (noise is None) != (self.architecture.noise is None):
            raise ValueError("noise is for hypernetworks that have it, and they need it")
        states = torch.cat(list(embeddings))
        noisy = states if noise is None else torch.cat([states, torch.cat(list(noise))], 1)
        tiles: list[Tiles] = [{} for _ in graphs]
        self._decode_vectors(graphs, states, tiles)
        self._decode_weights(graphs, noisy, tiles)
        return tiles

    def _decode_vectors(self, graphs: Sequence[Graph], states: Tensor, tiles: list[Tiles]) -> None:
        places = [
            (g, row, node, graph.classifier is not None and row - first == graph.classifier[1])
            for g, (graph, first) in enumerate(with_offsets(graphs))
            for row, node in enumerate(graph.nodes, first)
            if node.parameter is not None and len(node.shape or ()) == 1
        ]
        if not places:
            return
        rows = torch.tensor([row for _, row, _, _ in places], device=states.device)
        vectors = self.decoder_1d.fc(states[rows]).unflatten(1, (2, -1))
        for (g, _, node, is_last), vector in zip(places, vectors, strict=True):
            assert node.parameter is not None
            if node.primitive == "bias":
                bias = self.bias_class(vector[1]) if is_last else vector[1]
                tiles[g][node.parameter] = self._shift(bias)
                continue
            is_normal = self.architecture.weight_norm
            tiles[g][node.parameter] = 2 * torch.sigmoid(vector[0] / 2) if is_normal else vector[0]
            if node.shift is not None:
                tiles[g][node.shift] = self._shift(vector[1])

    def _shift(self, vector: Tensor) -> Tensor:
        return torch.tanh(0.2 * vector) if self.architecture.weight_norm else vector

    def _decode_weights(self, graphs: Sequence[Graph], states: Tensor, tiles: list[Tiles]) -> None:
        largest = self.architecture.tile
        groups: dict[tuple[Size, bool], list[tuple[int, int, str, tuple[int, ...]]]] = {}
        for g, (graph, first) in enumerate(with_offsets(graphs)):
            head = None if graph.classifier is None else first + graph.classifier[0]
            for row, node in enumerate(graph.nodes, first):
                if node.parameter is None or node.shape is None or len(node.shape) < 2:
                    continue
                assert node.size is not None
                out, into, height, width = map(min, node.size, largest)
                key = (largest[0] if row == head else out, into, height, width), row == head
                groups.setdefault(key, []).append((g, row, node.parameter, node.shape))
        for (size, is_head), members in groups.items():
            for first in range(0, len(members), NODES_AT_ONCE):
                some = members[first : first + NODES_AT_ONCE]
                rows = torch.tensor([row for _, row, _, _ in some], device=states.device)
                decode = self.decoder.classifier if is_head else self.decoder
                for (g, _, name, shape), tile in zip(some, decode(states[rows], size), strict=True):
                    factor = scale(shape) if self.architecture.weight_norm else 1.0
                    flat = tile if is_head else tile[..., 0, 0] if len(shape) == 2 else tile
                    tiles[g][name] = flat * factor


class _ShapeEncoder(nn.Module):
    """Embeds (out, in, height, width) by a quarter of the features each."""

    def __init__(self, d: int, classes: int, largest: int) -> None:
        super().__init__()
        self.classes, self.largest = classes, largest
        self.embed_spatial = nn.Embedding(len(spatial_table(largest)) + 1, d // 4)
        self.embed_channel = nn.Embedding(len(channel_table(classes)) + 1, d // 4)

    def forward(self, sizes: Sequence[Size | None]) -> Tensor:
        rows = torch.tensor([indices(size, self.classes, self.largest) for size in sizes])
        rows = rows.to(self.embed_channel.weight.device)
        channels = self.embed_channel(rows[:, :2]).flatten(1)
        return torch.cat([channels, self.embed_spatial(rows[:, 2:]).flatten(1)], 1)


def parameters_of(tiles: Tiles, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return whole parameters, by name, with their autograd history."""
    return {name: repeated(tile, shapes[name]) for name, tile in tiles.items()}
