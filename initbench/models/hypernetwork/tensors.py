"""Which tensors of a main network are generated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from initbench.errors import UserError, unknown_name
from initbench.models.anatomy import Anatomy, Layer, LayerKind
from initbench.models.hypernetwork.config import BlockConfig, HypernetworkConfig


@dataclass(frozen=True)
class Chosen:
    """A tensor of the main network that is to be generated."""

    layer: Layer
    is_bias: bool
    with_bias: bool  # whether weight and bias of the layer are both generated

    @property
    def parameter(self) -> str:
        """Its full name in the main network."""
        name = self.layer.bias if self.is_bias else self.layer.weight
        assert name is not None
        return name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        outputs = self.layer.fan_out // self.layer.receptive_field * self.layer.groups
        return (outputs,) if self.is_bias else self.layer.shape

    @property
    def kinship(self) -> tuple[object, ...]:
        """What tensors have in common that can share an output layer.

        Besides the shape, this is all that the right variance of its weights depends on.
        """
        layer = self.layer
        fans = (layer.fan_in, layer.fan_out, layer.activation, layer.activation_parameter)
        return (self.shape, self.is_bias, self.with_bias, *fans)


def chosen_tensors(main: Anatomy, config: HypernetworkConfig) -> list[Chosen]:
    """Return the tensors of the main network that are generated, in forward order.

    Raises:
        UserError: a layer that `layers` names does not exist or cannot be generated, or no layer
            can.
    """
    named = config.layers
    layers = list(main) if named is None else [_named(main, name) for name in named]
    reasons = {layer.name: _why_not(layer, config) for layer in layers}
    if named is not None and (bad := next((name for name in named if reasons[name]), None)):
        raise UserError(
            f"model `hypernetwork`: layer `{bad}` of `{config.main['name']}` cannot be generated: "
            f"{reasons[bad]}; take it out of `layers`"
        )
    tensors = [t for layer in layers if not reasons[layer.name] for t in _tensors(layer, config)]
    if not tensors:
        found = "; ".join(f"`{name}`: {reason}" for name, reason in [*reasons.items()][:3])
        raise UserError(
            f"model `hypernetwork`: no layer of `{config.main['name']}` can be generated "
            f"({found or 'it has none'}); choose another main network, or other `blocks`"
        )
    return tensors


def _named(main: Anatomy, name: str) -> Layer:
    layers = {layer.name: layer for layer in main}
    if name not in layers:
        raise unknown_name("layer of the main network", name, layers)
    return layers[name]


def _tensors(layer: Layer, config: HypernetworkConfig) -> Iterator[Chosen]:
    with_bias = config.biases and layer.bias is not None
    yield Chosen(layer, is_bias=False, with_bias=with_bias)
    if with_bias:
        yield Chosen(layer, is_bias=True, with_bias=True)


def _why_not(layer: Layer, config: HypernetworkConfig) -> str:
    """Say why the weight of a layer cannot be generated; empty where it can."""
    if layer.kind not in (LayerKind.CONV, LayerKind.LINEAR):
        return f"it is of the kind {layer.kind.value}, and only conv and linear layers can be"
    if layer.weight is None:
        return "its weight is not a parameter of its own, or tied to that of another layer"
    if 0 in layer.shape:
        return "its weight is empty"
    return _why_no_blocks(layer, config.blocks) if config.sharing == "chunked" else ""


def _why_no_blocks(layer: Layer, blocks: BlockConfig) -> str:
    size, filters = blocks.kernel, blocks.filters
    if layer.shape[2:] != (size, size):
        return f"blocks are kernels of {size} x {size}, its weight is {list(layer.shape)}"
    if layer.fan_in != layer.shape[1] * layer.receptive_field:
        return "it is transposed"
    if layer.shape[0] % filters and layer.shape[1] % filters:
        return f"neither its outputs nor its inputs, {list(layer.shape[:2])}, divide by {filters}"
    return ""
