"""Computational graphs as graph hypernetworks see them (Knyazev et al. 2021, section 2.1).

A node is a parameter tensor, or an operation that has a primitive of its own. Everything else
(activations, reshapes, dropout) is contracted: what precedes it precedes what follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

PRIMITIVES = (
    "max_pool",
    "avg_pool",
    "sep_conv",
    "dil_conv",
    "conv",
    "msa",
    "cse",
    "sum",
    "concat",
    "input",
    "bias",
    "bn",
    "ln",
    "pos_enc",
    "glob_avg",
)
"""In the order of the rows of the embedding in released checkpoints."""

LONGEST = 50
"""Two nodes that are further apart than this have no virtual edge."""


@dataclass(frozen=True)
class Node:
    """One node; of a norm layer, scale and shift are one node."""

    primitive: str
    parameter: str | None = None
    """What is predicted from it. None for operations, and where a parameter is used again."""
    shift: str | None = None
    """The shift of a norm layer, predicted together with its scale."""
    shape: tuple[int, ...] | None = None
    """Of the parameter; of a pool (1, 1, height, width) of its kernel; None: no size."""

    @property
    def size(self) -> tuple[int, int, int, int] | None:
        """Four numbers for the shape encoder; None without a size."""
        if self.shape is None:
            return None
        padded = (*self.shape, 1, 1, 1)
        return padded[0], padded[1], padded[2], padded[3]


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph; nodes are in a topological order, `input` is the first."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    classifier: tuple[int, int] | None = None
    """Weight and bias of the linear layer that the graph ends with."""
    without_node: Mapping[str, str] = field(default_factory=dict)
    """Parameters that nothing can be predicted for, each with the reason."""

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def predecessors(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.nodes]
        for source, target in self.edges:
            found[target].append(source)
        return found

    @cached_property
    def depths(self) -> list[int]:
        """The edges on the longest path to each node; nodes of equal depth are unconnected."""
        depths: list[int] = []
        for sources in self.predecessors:
            depths.append(max((depths[u] + 1 for u in sources), default=0))
        return depths

    @cached_property
    def distances(self) -> np.ndarray:
        """The edges on the shortest path from row to column, (nodes, nodes); 0 where none is."""
        unreached = len(self) + 1
        found = np.full((len(self), len(self)), unreached, dtype=np.int32)
        for target, sources in enumerate(self.predecessors):
            for source in sources:
                # Columns are complete for all nodes before `target`.
                np.minimum(found[:, target], found[:, source] + 1, out=found[:, target])
                found[source, target] = 1
        found[found >= unreached] = 0
        return found

    def counts(self) -> dict[str, int]:
        """Return how many nodes there are of each primitive, in the order of `PRIMITIVES`."""
        primitives = [node.primitive for node in self.nodes]
        return {name: primitives.count(name) for name in PRIMITIVES if name in primitives}
