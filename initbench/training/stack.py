"""The stack: networks of equal architecture as one, with a leading dimension for the members.

All trainable parameters are one matrix with a row for each member, so whatever is done to weights
(a step of the optimiser, a norm, the removal of a member) is one operation on that matrix.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.func import functional_call, vmap

from initbench.training.checkpoint import Tensors, restore_network
from initbench.training.outcome import State, state_of
from initbench.training.stacked_functions import StackedFunctions


class Stack:
    """The networks of several members on one device; their own networks are left alone.

    `network` is a copy of the first member's network. It lends the stack its modules (and their
    training or eval mode); its tensors are not used.

    On the CPU, grouped convolutions are twice as fast with channels last. Elsewhere it is so where
    the networks have this layout.
    """

    def __init__(self, networks: Sequence[torch.nn.Module], device: torch.device) -> None:
        self.network = copy.deepcopy(networks[0]).to(device)
        channels_last = device.type == "cpu" or has_channels_last(networks[0])
        self._functions = StackedFunctions(channels_last)
        self._shell = copy.deepcopy(networks[0]).cpu()  # states are put together in it
        parameters = dict(networks[0].named_parameters())
        self._shapes = {name: p.shape for name, p in parameters.items() if p.requires_grad}

        members = [dict(network.named_parameters()) for network in networks]
        rows = [torch.cat([m[name].detach().reshape(-1) for name in self._shapes]) for m in members]
        self.weights = torch.stack(rows).to(device).requires_grad_()  # (members, weights)
        self.frozen = _stacked(
            [{n: p for n, p in member.items() if not p.requires_grad} for member in members], device
        )
        self.buffers = _stacked([dict(network.named_buffers()) for network in networks], device)

    def __len__(self) -> int:
        return len(self.weights)

    def logits(self, images: torch.Tensor, **given: Any) -> torch.Tensor:
        """Return the logits (members, batch, classes) of each member for images of its own.

        `images` is (members, batch, channels, height, width). In training mode, the buffers change
        as those of each member alone would. What else is `given` goes to every network.
        """
        with self._functions:
            logits: torch.Tensor = vmap(partial(self._one, **given))(self._tensors(), images)
        return logits

    def of_part(self, name: str, *given: Any) -> list[torch.Tensor]:
        """Return what a submodule of each member returns, a list of tensors, for what is given.

        Each comes as (members, ...).
        """
        start = f"{name}."
        tensors = {k: x for k, x in self._tensors().items() if k.startswith(start)}
        part = self.network.get_submodule(name)

        def one(own: Tensors) -> list[torch.Tensor]:
            found: list[torch.Tensor] = functional_call(part, own, given)
            return found

        own = {k.removeprefix(start): x for k, x in tensors.items()}
        return vmap(one)(own)

    def logits_for_all(self, images: torch.Tensor, members_at_once: int) -> torch.Tensor:
        """Return the logits (members, batch, classes) of all members for the same images.

        `images` is (batch, channels, height, width). Fewer members at once need less memory.
        """
        each = vmap(self._one, in_dims=(0, None), chunk_size=members_at_once)
        with self._functions:
            logits: torch.Tensor = each(self._tensors(), images)
        return logits

    def largest_weights(self) -> torch.Tensor:
        """Return the largest magnitude of any parameter of each member; NaN if one is."""
        tensors = (self.weights.detach(), *self.frozen.values())
        largest = [t.flatten(1).abs().amax(1).double() for t in tensors if t.numel()]
        return torch.stack(largest).amax(0)

    def keep(self, rows: torch.Tensor) -> None:
        """Remove all members but those at `rows` (int64, on the device)."""
        self.weights = self.weights.detach().index_select(0, rows).requires_grad_()
        self.frozen = {name: t.index_select(0, rows) for name, t in self.frozen.items()}
        self.buffers = {name: t.index_select(0, rows) for name, t in self.buffers.items()}

    def by_row(self) -> Tensors:
        """Return all tensors of the networks, each with a row for each member; not copied."""
        return {
            "weights": self.weights.detach(),
            **{f"frozen.{name}": tensor for name, tensor in self.frozen.items()},
            **{f"buffers.{name}": tensor for name, tensor in self.buffers.items()},
        }

    def tensors(self, rows: Sequence[int]) -> list[Tensors]:
        """Return copies of the parameters and buffers of the members at `rows`, on the CPU."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.weights.device)

        def chosen(stacked: torch.Tensor) -> torch.Tensor:
            return stacked.detach().index_select(0, index).cpu()

        tensors = self.by_name(chosen(self.weights))
        for name, stacked in (*self.frozen.items(), *self.buffers.items()):
            tensors[name] = chosen(stacked)
        return [{name: t[i] for name, t in tensors.items()} for i in range(len(rows))]

    def by_name(self, matrix: torch.Tensor) -> Tensors:
        """Return views of a matrix like `weights`: the entries of each parameter, (rows, ...)."""
        parts = matrix.split([shape.numel() for shape in self._shapes.values()], dim=1)
        return {
            name: part.view(len(matrix), *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def state(self, tensors: Tensors) -> State:
        """Return what a network with these tensors has as its state."""
        restore_network(self._shell, tensors)
        return state_of(self._shell)

    def _tensors(self) -> Tensors:
        return {**self.by_name(self.weights), **self.frozen, **self.buffers}

    def _one(self, tensors: Tensors, images: torch.Tensor, **given: Any) -> torch.Tensor:
        logits: torch.Tensor = functional_call(self.network, tensors, (images,), given)
        return logits


def has_channels_last(network: torch.nn.Module) -> bool:
    """Say whether some tensor of `network` is laid out with channels last."""
    layouts = {
        (t.is_contiguous(), t.is_contiguous(memory_format=torch.channels_last))
        for t in network.parameters()
        if t.ndim == 4
    }
    return (False, True) in layouts


def _stacked(members: Sequence[Tensors], device: torch.device) -> Tensors:
    """Return the tensors of all members, stacked by name; each is contiguous.

    Batch norm writes into its statistics, which vmap can do only where members are contiguous.
    """
    return {
        name: torch.stack([member[name].detach().contiguous() for member in members]).to(device)
        for name in members[0]
    }
