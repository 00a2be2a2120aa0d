"""Reads the data flow of a network with torch.fx: no data needed, no look at values possible."""

from __future__ import annotations

import torch
from torch import fx, nn

from initbench.models.activations import of_function, of_module
from initbench.models.flow import NORMS, WEIGHT_LAYERS, Flow, Operation, twin

_WEIGHT_FUNCTIONS = frozenset(
    {
        "linear",
        "bilinear",
        "embedding",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
    }
)
_SHAPE_METHODS = frozenset({"size", "dim", "ndimension", "numel", "stride"})
_TENSOR_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "data", "real", "imag"})


def symbolic_flow(network: nn.Module) -> Flow:
    """Return the flow of `network`; raises whatever its forward method raises when traced."""
    with torch.random.fork_rng(devices=[]):
        try:
            graph = _Tracer().trace(twin(network).train())
        except Exception:
            # Some training-only branches look at values (stochastic depth); evaluation may not.
            graph = _Tracer().trace(twin(network).eval())
    return _flow(graph, network)


class _Tracer(fx.Tracer):
    """Looks into everything but the modules of torch.nn and what is derived from weight layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, WEIGHT_LAYERS) or super().is_leaf_module(m, module_qualified_name)


def _flow(graph: fx.Graph, network: nn.Module) -> Flow:
    operations = {node: _operation(node, network) for node in graph.nodes}
    parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    flow: Flow = {}
    for node, operation in operations.items():
        if not _asks_for_shape(node):
            operation.followers.extend(operations[user] for user in node.users)
        if node.op == "call_module":
            _use_module(flow, node.target, operation, network)
        elif node.op == "get_attr" and node.target in parameters and operation.followers:
            # A parameter used without calling its module: its first user is the layer.
            owner = str(node.target).rpartition(".")[0]
            flow.setdefault(owner, operation.followers[0])
    return flow


def _operation(node: fx.Node, network: nn.Module) -> Operation:
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        activation = of_module(module)
        return Operation(activation, activation is None and _applies_weights(module))
    if node.op in ("call_function", "call_method"):
        name = node.target if isinstance(node.target, str) else _name(node.target)
        slope = node.args[1] if len(node.args) > 1 else node.kwargs.get("negative_slope")
        return Operation(of_function(name, slope), name in _WEIGHT_FUNCTIONS)
    return Operation()


def _name(function: object) -> str:
    return str(getattr(function, "__name__", ""))


def _applies_weights(module: nn.Module) -> bool:
    return not isinstance(module, NORMS) and any(p.dim() >= 2 for p in module.parameters())


def _use_module(flow: Flow, target: object, operation: Operation, network: nn.Module) -> None:
    """Enter the called module, and the modules inside it, which torch.fx did not look into."""
    called = str(target)
    module = network.get_submodule(called)
    flow.setdefault(called, operation)
    inside = [name for name, _ in module.named_modules(prefix=called) if name != called]
    hides_layers = any(isinstance(network.get_submodule(name), WEIGHT_LAYERS) for name in inside)
    # The one layer inside attention, the output projection, is the last thing attention does.
    seen = not hides_layers or isinstance(module, nn.MultiheadAttention)
    for name in inside:
        flow.setdefault(name, operation if seen else None)


def _asks_for_shape(node: fx.Node) -> bool:
    """Say whether the result is a size or the like: what depends on it is not fed by the layer."""
    if node.op == "call_method":
        return node.target in _SHAPE_METHODS
    return node.target is getattr and node.args[1] not in _TENSOR_ATTRIBUTES
