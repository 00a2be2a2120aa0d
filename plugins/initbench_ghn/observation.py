"""Following the nodes of a graph through the operations of one forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from initbench_ghn.graph import Graph, Node


@dataclass(frozen=True)
class Value:
    """What is known of a tensor during the pass."""

    sources: frozenset[int] = frozenset()  # the nodes that it was computed from, none in between
    is_data: bool = False  # whether it depends on the images
    parameters: frozenset[str] = frozenset()  # what it was made from, where it does not
    mark: Literal["attention", "gate", ""] = ""


NOTHING = Value()

Rule = Callable[["Observer", list[Any], list[Value], str], Value]
"""Called with the arguments of an operation, the values of all tensors in them, and its name."""


class Observer(TorchDispatchMode):
    """Follows nodes through the operations of one forward pass."""

    def __init__(self, network: nn.Module, images: Tensor, rule_of: Callable[[str], Rule]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rule_of = rule_of
        self.shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
        self.nodes: list[Node] = [Node("input")]
        self.predecessors: list[frozenset[int]] = [frozenset()]
        self.node_of: dict[str, int] = {}
        self.linear: set[int] = set()  # nodes of linear layers, weights and biases
        self.uses: dict[str, str] = {}
        # By storage, because views share what they are computed from. Storages are kept, so that
        # no other one takes their place.
        self.values: dict[int, Value] = {}
        self.storages: list[Any] = []
        for name, parameter in network.named_parameters():
            self._set(parameter, Value(parameters=frozenset([name])))
        self._set(images, Value(is_data=True))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__.rstrip("_")
        if name in _KEEPS_SHAPE and args[0].is_meta:
            output = _same_shape(func, args[0])
        else:
            output = func(*args, **(kwargs or {}))
        inputs = [*args, *(kwargs or {}).values()]
        values = [self.value_of(x) for x in tensors_in(inputs)]
        if any(value is not NOTHING for value in values):
            value = self.rule_of(name)(self, inputs, values, name)
            for tensor in tensors_in(output):
                self._set(tensor, value)
        return output

    def value_of(self, tensor: Any) -> Value:
        if not isinstance(tensor, Tensor):
            return NOTHING
        return self.values.get(tensor.untyped_storage()._cdata, NOTHING)

    def _set(self, tensor: Tensor, value: Value) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.values:
            self.storages.append(storage)
        self.values[storage._cdata] = value

    def add(self, node: Node, sources: frozenset[int]) -> Value:
        """Add a node, and return the value of what it computes."""
        name = node.parameter
        if name is not None and name in self.node_of:
            node = replace(node, parameter=None, shift=None)
        elif name is not None:
            self.node_of[name] = len(self.nodes)
        self.nodes.append(node)
        self.predecessors.append(sources)
        return Value(frozenset([len(self.nodes) - 1]), is_data=True)

    def parameter(self, value: Value, rank: int) -> str | None:
        """Return the parameter of this rank that a constant was made from, the largest if several.

        Standardised weights are made from the weight and a gain. None where two are as large.
        """
        if value.is_data:
            return None
        sizes = {
            name: math.prod(self.shapes[name])
            for name in value.parameters
            if len(self.shapes[name]) == rank
        }
        largest = [name for name, size in sizes.items() if size == max(sizes.values())]
        return largest[0] if len(largest) == 1 else None

    def weigh(
        self, primitive: str, weight: str, data: Value, bias: Value, *, linear: bool = False
    ) -> Value:
        """Add the node of a weight, and that of its bias."""
        value = self.add(Node(primitive, weight, shape=self.shapes[weight]), data.sources)
        if linear:
            self.linear |= value.sources
        return self.shifted(value, bias)

    def shifted(self, value: Value, bias: Value) -> Value:
        """Add the node of a bias to what a weight computes, if it is a parameter."""
        name = self.parameter(bias, 1)
        if name is None:
            self.used(bias, "a bias that is no parameter by itself")
            return value
        shifted = self.add(Node("bias", name, shape=self.shapes[name]), value.sources)
        if value.sources <= self.linear:
            self.linear |= shifted.sources
        return shifted

    def used(self, value: Value, by: str) -> None:
        """Remember what a parameter was used by, for those that get no node."""
        for name in value.parameters:
            self.uses[name] = by

    # --- result ---------------------------------------------------------------------------------

    def graph(self, output: Tensor) -> Graph:
        """Return the graph of what `output` depends on."""
        ends = self.value_of(output).sources
        reached = set(ends)
        for node in reversed(range(len(self.nodes))):
            if node in reached:
                reached |= self.predecessors[node]
        kept = [0, *sorted(reached - {0})]
        place = {node: i for i, node in enumerate(kept)}
        edges = []
        for node in kept[1:]:
            is_first = not self.predecessors[node] and self.nodes[node].primitive != "pos_enc"
            sources = [0] if is_first else sorted(self.predecessors[node])
            edges += [(place[u], place[node]) for u in sources]
        nodes = tuple(self.nodes[node] for node in kept)
        predicted = {name for x in nodes for name in (x.parameter, x.shift) if name is not None}
        return Graph(
            nodes,
            tuple(edges),
            self._classifier(ends, place),
            {name: self._reason(name) for name in self.shapes if name not in predicted},
        )

    def _classifier(self, ends: frozenset[int], place: Mapping[int, int]) -> tuple[int, int] | None:
        if len(ends) != 1 or not ends <= self.linear:
            return None
        (bias,) = ends
        if self.nodes[bias].primitive != "bias" or self.nodes[bias].parameter is None:
            return None
        (weight,) = self.predecessors[bias]
        is_owned = self.nodes[weight].parameter is not None
        return (place[weight], place[bias]) if is_owned else None

    def _reason(self, name: str) -> str:
        if name in self.node_of:
            return "the output does not depend on it"
        if name in self.uses:
            return f"no primitive for its use by {self.uses[name]}"
        return "the forward pass does not use it"


_KEEPS_SHAPE = frozenset(
    "relu gelu silu sigmoid tanh hardtanh hardsigmoid hardswish leaky_relu elu native_batch_norm"
    " native_layer_norm".split()
)
"""Operations whose output is like their first input; torch derives that at 100 times the cost."""


def _same_shape(func: Any, tensor: Tensor) -> Any:
    if func.overloadpacket.__name__.endswith("_"):
        return tensor
    like = torch.empty_like(tensor)
    return like if len(func._schema.returns) == 1 else (like, like.new_empty(0), like.new_empty(0))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of arguments or outputs, however nested."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for x in value:
            yield from tensors_in(x)
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
