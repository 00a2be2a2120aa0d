"""Which operations of a forward pass are nodes, and what they are fed by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from initbench_ghn.graph import Node
from initbench_ghn.observation import NOTHING, Observer, Rule, Value


def _contracted(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    """Pass the sources of all inputs on."""
    data = [value for value in values if value.is_data]
    if not data:
        return Value(parameters=frozenset().union(*(value.parameters for value in values)))
    for value in values:
        observer.used(value, f"`{name}`")
    sources = frozenset[int]().union(*(value.sources for value in data))
    return Value(sources, is_data=True, mark=data[0].mark if len(data) == 1 else "")


def _convolution(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    data, kernel, bias = (observer.value_of(x) for x in inputs[:3])
    dilation, transposed, groups = inputs[5], inputs[6], inputs[8]
    weight = observer.parameter(kernel, 4)
    if weight is None or transposed or not data.is_data:
        return _contracted(observer, inputs, values, name)
    observer.used(kernel, f"what standardises `{weight}`")
    grouped = "dil_conv" if min(dilation) > 1 else "sep_conv"
    primitive = "conv" if groups == 1 else grouped
    return observer.weigh(primitive, weight, data, bias)


def _product(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    """Handle matrix products: of data with a weight, or of attention with values."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    if name == "linear":
        factors, bias = tensors[:2], observer.value_of(tensors[2] if len(tensors) > 2 else None)
    elif name in ("addmm", "baddbmm"):
        factors, bias = tensors[1:3], observer.value_of(tensors[0])
    else:
        factors, bias = tensors[:2], NOTHING
    found = [observer.value_of(x) for x in factors]
    data = [value for value in found if value.is_data]
    if len(data) == 1 and not bias.is_data:
        constant = next(value for value in found if not value.is_data)
        weight = observer.parameter(constant, 2)
        if weight is not None:
            return observer.weigh("conv", weight, data[0], bias, linear=True)
    if len(data) == 2 and any(value.mark == "attention" for value in data):
        return observer.add(Node("msa"), data[0].sources | data[1].sources)
    return _contracted(observer, inputs, values, name)


def _fused_attention(
    observer: Observer, inputs: list[Any], values: list[Value], name: str
) -> Value:
    value = _contracted(observer, inputs, values, name)
    return observer.add(Node("msa"), value.sources) if value.is_data else value


def _attention_weights(
    observer: Observer, inputs: list[Any], values: list[Value], name: str
) -> Value:
    value = _contracted(observer, inputs, values, name)
    return replace(value, mark="attention") if value.is_data else value


def _norm(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    is_layer_norm = name == "native_layer_norm"
    scale, shift = (observer.value_of(x) for x in (inputs[2:4] if is_layer_norm else inputs[1:3]))
    weight, bias = observer.parameter(scale, 1), observer.parameter(shift, 1)
    data = observer.value_of(inputs[0])
    if weight is None or not data.is_data:
        return _contracted(observer, inputs, values, name)
    primitive = "ln" if is_layer_norm else "bn"
    return observer.add(Node(primitive, weight, bias, observer.shapes[weight]), data.sources)


def _pool(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    if not values[0].is_data:
        return _contracted(observer, inputs, values, name)
    kernel = inputs[1]
    height, width = (kernel[0], kernel[-1]) if isinstance(kernel, list | tuple) else (kernel,) * 2
    primitive = "avg_pool" if name == "avg_pool2d" else "max_pool"
    return observer.add(Node(primitive, shape=(1, 1, height, width)), values[0].sources)


def _mean(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    keeps = name != "mean" or (len(inputs) > 2 and inputs[2] is True)
    if keeps and values[0].is_data:
        return observer.add(Node("glob_avg"), values[0].sources)
    return _contracted(observer, inputs, values, name)


def _sum(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    constants = [value for value in values if not value.is_data]
    if name == "add" and len(constants) == 1:
        data = next((value for value in values if value.is_data), None)
        if data is not None and _is_bias(observer, data, constants[0]):
            return observer.shifted(data, constants[0])
        if data is not None and _is_encoding(observer, constants[0]):
            encoding = observer.parameter(constants[0], 4)
            assert encoding is not None
            node = Node("pos_enc", encoding, shape=observer.shapes[encoding])
            values = [data, observer.add(node, frozenset())]
    value = _contracted(observer, inputs, values, name)
    if len(value.sources) < 2:
        return value
    return observer.add(Node("sum" if name == "add" else "concat"), value.sources)


def _is_bias(observer: Observer, data: Value, constant: Value) -> bool:
    """Say whether a constant is the bias of the layer whose weight was just applied."""
    name = observer.parameter(constant, 1)
    if name is None or len(data.sources) != 1 or not name.endswith("bias"):
        return False
    (source,) = data.sources
    shape = observer.nodes[source].shape
    is_weight = observer.nodes[source].primitive in ("conv", "sep_conv", "dil_conv")
    return is_weight and shape is not None and shape[0] == observer.shapes[name][0]


def _is_encoding(observer: Observer, constant: Value) -> bool:
    """Say whether a constant is an encoding of positions, (1, channels, height, width)."""
    name = observer.parameter(constant, 4)
    if name is None:
        return False
    first, _, height, width = observer.shapes[name]
    return first == 1 and height * width > 1


def _hard(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    """Mark what may gate channels: a linear layer, then an activation Hard*."""
    value = _contracted(observer, inputs, values, name)
    is_linear = bool(value.sources) and value.sources <= observer.linear
    return replace(value, mark="gate") if is_linear else value


def _multiplied(observer: Observer, inputs: list[Any], values: list[Value], name: str) -> Value:
    value = _contracted(observer, inputs, values, name)
    data = [x for x in values if x.is_data]
    if len(data) == 2 and sum(x.mark == "gate" for x in data) == 1:
        return observer.add(Node("cse"), value.sources)
    return value


_RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "linear": _product,
    "addmm": _product,
    "mm": _product,
    "bmm": _product,
    "baddbmm": _product,
    "native_batch_norm": _norm,
    "native_layer_norm": _norm,
    "max_pool2d_with_indices": _pool,
    "avg_pool2d": _pool,
    "_adaptive_avg_pool2d": _mean,
    "mean": _mean,
    "add": _sum,
    "cat": _sum,
    "mul": _multiplied,
    "hardswish": _hard,
    "hardsigmoid": _hard,
    "hardtanh": _hard,
    "_softmax": _attention_weights,
    "_safe_softmax": _attention_weights,
    "_scaled_dot_product_flash_attention_for_cpu": _fused_attention,
    "_scaled_dot_product_fused_attention_overrideable": _fused_attention,
}


def rule_of(operation: str) -> Rule:
    """Return the rule for an operation; what has none of its own is contracted."""
    return _RULES.get(operation, _contracted)
