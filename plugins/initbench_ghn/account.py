"""What a graph says of a network, in numbers: its size, and what can be predicted from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from initbench.api import Anatomy
from initbench_ghn.graph import LONGEST, Graph
from initbench_ghn.prediction import fallback_rule, layers_by_parameter

PREDICTED = "predicted"
UNTOUCHED = "as the model made it"


@dataclass(frozen=True)
class Share:
    """Parameters that are treated alike."""

    rule: str
    reason: str
    tensors: int
    values: int


@dataclass(frozen=True)
class Account:
    """Numbers of a graph and of the parameters of its network."""

    nodes: int
    edges: int
    virtual_edges: int  # pairs from 2 to 50 apart
    distance: int  # the largest of all shortest paths
    depth: int  # edges on the longest path
    primitives: Mapping[str, int]
    shares: Sequence[Share]

    @property
    def values(self) -> int:
        """All values of all parameters."""
        return sum(share.values for share in self.shares)

    def lines(self) -> list[str]:
        """Return the account as lines of text."""
        facts = {
            "nodes": f"{self.nodes:,}",
            "edges": f"{self.edges:,}",
            "virtual edges": f"{self.virtual_edges:,} (2 to {LONGEST} apart)",
            "largest distance": f"{self.distance}",
            "longest path": f"{self.depth}",
            "parameters": f"{self.values:,} in {sum(x.tensors for x in self.shares):,} tensors",
        }
        found = [f"{label:18}{text}" for label, text in facts.items()]
        found += ["", *(f"{count:8,}  {name}" for name, count in self.primitives.items()), ""]
        for share in self.shares:
            reason = f": {share.reason}" if share.reason else ""
            percent = f"{100 * share.values / max(self.values, 1):7.3f} %"
            found.append(f"{percent}  {share.rule} ({share.tensors:,} tensors){reason}")
        return found


def account(graph: Graph, anatomy: Anatomy, shapes: Mapping[str, Sequence[int]]) -> Account:
    """Count.

    Args:
        graph: of the network.
        anatomy: of the network; it says which rule a parameter without a prediction falls under.
        shapes: of all parameters, by name.
    """
    layers = layers_by_parameter(anatomy)
    tensors: dict[tuple[str, str], list[int]] = {(PREDICTED, ""): []}
    for name, shape in shapes.items():
        reason = graph.without_node.get(name, "")
        rule = (fallback_rule(name, layers.get(name)) or UNTOUCHED) if reason else PREDICTED
        tensors.setdefault((rule, reason), []).append(math.prod(shape))
    distances = graph.distances
    return Account(
        len(graph),
        len(graph.edges),
        int(np.count_nonzero((distances > 1) & (distances <= LONGEST))),
        int(distances.max(initial=0)),
        max(graph.depths),
        graph.counts(),
        [Share(*key, len(sizes), sum(sizes)) for key, sizes in tensors.items()],
    )
