"""The gated graph network (Knyazev et al. 2021, equations 3 and 4), forward and backward once.

Nodes of equal depth, of all graphs of a batch, have no path between them: they are updated
together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from initbench_ghn.architecture import Layers, with_offsets
from initbench_ghn.graph import LONGEST, Graph


@dataclass(frozen=True)
class Batch:
    """Several graphs as one, nodes sorted by depth."""

    order: Tensor  # sorted position -> node
    levels: list[tuple[int, int]]  # of each depth, the first position and the one after the last
    direct: Tensor  # (nodes, nodes), [target, source]: 1 for an edge
    virtual: Tensor  # the same: 1 / distance up to the longest

    @classmethod
    def of(cls, graphs: Sequence[Graph], device: torch.device) -> Batch:
        depths = np.array([depth for graph in graphs for depth in graph.depths])
        order = np.argsort(depths, kind="stable")
        distances = np.zeros((len(depths), len(depths)), dtype=np.float32)
        for graph, first in with_offsets(graphs):
            place = slice(first, first + len(graph))
            distances[place, place] = graph.distances.T
        distances = distances[np.ix_(order, order)]
        weights = np.divide(1, distances, out=np.zeros_like(distances), where=distances > 0)
        weights[distances > LONGEST] = 0
        ends = np.cumsum(np.bincount(depths)).tolist()
        return cls(
            torch.from_numpy(order).to(device),
            list(zip([0, *ends], ends, strict=False)),
            torch.from_numpy((distances == 1).astype(np.float32)).to(device),
            torch.from_numpy(weights).to(device),
        )


class GatedGNN(nn.Module):
    """One round: each node hears its ancestors, then each node hears its descendants."""

    def __init__(self, d: int, ve: bool) -> None:
        super().__init__()
        width = d // 2 if ve else d
        self.mlp = _message(d, width)
        self.mlp_ve = _message(d, width) if ve else None
        self.gru = nn.GRUCell(d, d)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        states = self._sweep(states[batch.order], batch.levels, batch.direct, batch.virtual)
        backward = batch.direct.T.contiguous(), batch.virtual.T.contiguous()
        states = self._sweep(states, batch.levels[::-1], *backward)
        return states[batch.order.argsort()]

    def _sweep(
        self, states: Tensor, levels: Sequence[tuple[int, int]], direct: Tensor, virtual: Tensor
    ) -> Tensor:
        """Update level after level; who sends has been updated before."""
        d = states.shape[1]
        inner, outer = self._messages()
        sent = states.new_zeros(len(states), 2 * d)
        updated = []
        for first, end in levels:
            heard = direct[first:end] @ sent[:, :d]
            if self.mlp_ve is not None:
                heard = torch.addmm(heard, virtual[first:end], sent[:, d:])
            state = self.gru(heard, states[first:end])
            updated.append((first, state))
            message = functional.linear(functional.linear(state, *inner).relu(), *outer).relu()
            if torch.is_grad_enabled():
                sent = sent.slice_scatter(message, 0, first, end)
            else:
                sent[first:end] = message
        return torch.cat([state for _, state in sorted(updated, key=lambda x: x[0])])

    def _messages(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return both message functions as one of two layers, their outputs side by side."""
        (w1, b1), (w2, b2) = _weights(self.mlp)
        if self.mlp_ve is None:
            zeros = torch.zeros_like(w2)
            return (w1, b1), (torch.cat([w2, zeros]), torch.cat([b2, torch.zeros_like(b2)]))
        (v1, c1), (v2, c2) = _weights(self.mlp_ve)
        inner = torch.cat([w1, v1]), torch.cat([b1, c1])
        return inner, (torch.block_diag(w2, v2), torch.cat([b2, c2]))


def _message(d: int, width: int) -> Layers:
    return Layers(fc=nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, d), nn.ReLU()))


def _weights(message: Layers) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    first, second = message.fc[0], message.fc[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    return (first.weight, first.bias), (second.weight, second.bias)


class NodeMLP(nn.Module):
    """Looks at each node for itself."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d), nn.ReLU())

    def forward(self, states: Tensor) -> Tensor:
        return self.fc(states)  # type: ignore[no-any-return]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: several ones only wait for each other in tiny products."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
