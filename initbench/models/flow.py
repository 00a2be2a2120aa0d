"""The data flow of a network: its operations, what follows which, and the walk to an activation."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field

import torch
from torch import nn

from initbench.models.activations import IDENTITY, Activation

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
WEIGHT_LAYERS = (*CONVOLUTIONS, nn.Linear)
NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.RMSNorm,
)


@dataclass(eq=False)
class Operation:
    """One step of a forward pass."""

    activation: Activation | None = None
    applies_weights: bool = False  # a layer of its own, where the walk of the layer before ends
    followers: list[Operation] = field(default_factory=list, repr=False)  # a graph has no short one


Flow = dict[str, Operation | None]
"""By module, in forward order: the operation that first uses its parameters.

It is None where a module is called out of sight: its place is known, but not what follows it.
"""


def following(operation: Operation) -> Activation:
    """Return the first activation after `operation`, breadth first, or the identity.

    The walk passes everything (norms, pooling, dropout, reshaping, sums) except the next layer
    that applies weights.
    """
    queue = deque(operation.followers)
    seen = {operation}
    while queue:
        current = queue.popleft()
        if current in seen:
            continue
        seen.add(current)
        if current.activation is not None:
            return current.activation
        if not current.applies_weights:
            queue.extend(current.followers)
    return IDENTITY


def twin(network: nn.Module) -> nn.Module:
    """Return a copy of `network` that shares its parameters, but neither its buffers nor its state.

    A forward method may write to its module; what it writes while being traced stays in the copy.
    """
    memo: dict[int, object] = {id(parameter): parameter for parameter in network.parameters()}
    for module in network.modules():
        for value in (*module._buffers.values(), *vars(module).values()):
            if isinstance(value, torch.Tensor):
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)
