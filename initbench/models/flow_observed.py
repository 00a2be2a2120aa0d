"""Reads the data flow of a network off the graph that autograd records for one example.

It follows any forward method, but needs an example to run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import Node

from initbench.models.activations import Activation, of_function
from initbench.models.flow import NORMS, Flow, Operation, twin

_RESHAPES = frozenset(
    {"t", "transpose", "permute", "view", "unsafe_view", "reshape_alias", "expand", "clone"}
)


def observed_flow(network: nn.Module, example: torch.Tensor) -> Flow:
    """Run `network` on the batch `example`, in evaluation mode, and return its flow.

    Weights, buffers and mode of `network` stay as they are. Raises whatever the forward method
    raises, and ValueError where it keeps its output from autograd.
    """
    parameters = {n: p.detach().requires_grad_() for n, p in network.named_parameters()}
    device = next((p.device for p in parameters.values()), example.device)
    runnable = _out_of_place(twin(network).eval())
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        output = torch.func.functional_call(runnable, parameters, (example.to(device),))
    names = {id(p): name for name, p in parameters.items()}
    flow = _flow(_forward_order(_roots(output)), names, network)
    if not flow:
        raise ValueError("autograd saw no parameter on the way to the output")
    return flow


def _out_of_place(network: nn.Module) -> nn.Module:
    """Make activations write elsewhere: autograd does not name what is written into a view."""
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return network


def _flow(nodes: list[Node], names: dict[int, str], network: nn.Module) -> Flow:
    users: dict[Node, list[Node]] = defaultdict(list)
    for node in nodes:
        for source, _ in node.next_functions:
            if source is not None:
                users[source].append(node)
    operations = {node: Operation(_activation(node)) for node in nodes}
    for node, operation in operations.items():
        operation.followers.extend(operations[user] for user in users[node])
    leaves = [node for node in nodes if id(_variable(node)) in names]
    first_uses = {leaf: _first_use(leaf, users) for leaf in leaves}
    flow: Flow = {}
    for leaf in sorted(leaves, key=lambda leaf: first_uses[leaf]._sequence_nr()):
        parameter, operation = _variable(leaf), operations[first_uses[leaf]]
        owner = names[id(parameter)].rpartition(".")[0]
        flow.setdefault(owner, operation)
        if parameter.dim() >= 2 and not isinstance(network.get_submodule(owner), NORMS):
            operation.applies_weights = True
    return flow


def _roots(output: Any) -> Iterator[Node]:
    """Yield where the graph of a (nested) output begins."""
    if isinstance(output, torch.Tensor):
        if output.grad_fn is not None:
            yield output.grad_fn
    elif isinstance(output, dict):
        yield from _roots(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _roots(part)


def _forward_order(roots: Iterable[Node]) -> list[Node]:
    """Return every node below `roots` in the order in which the forward pass made them.

    Leaves, which it did not make, come last.
    """
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(source for source, _ in node.next_functions if source is not None)
    return sorted(seen, key=lambda node: node._sequence_nr())


def _first_use(node: Node, users: dict[Node, list[Node]]) -> Node:
    """Return what uses a parameter, past the operations that only reshape it."""
    node = users[node][0]
    while _name(node) in _RESHAPES and users[node]:
        node = users[node][0]
    return node


def _variable(node: Node) -> Any:
    """Return the tensor behind a leaf of the graph, None for any other node."""
    return getattr(node, "variable", None)


def _name(node: Node) -> str:
    """Return the function behind a node: `leaky_relu` for `LeakyReluBackward0`."""
    plain = re.sub(r"Backward\d*$", "", node.name())
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()


def _activation(node: Any) -> Activation | None:
    name = _name(node)
    # Autograd has one node for each of these pairs; the constants it saved tell them apart.
    if name == "hardtanh" and (node._saved_min_val, node._saved_max_val) == (0.0, 6.0):
        name = "relu6"
    elif name == "elu" and node._saved_scale != 1.0:
        name = "selu"
    return of_function(name, getattr(node, "_saved_negative_slope", None))
