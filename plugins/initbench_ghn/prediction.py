"""Writing what a graph hypernetwork predicts into a network, and accounting for the rest.

What the hypernetwork has no answer for is not removed, as the released code does, but:

| parameter | rule |
| --- | --- |
| weight of a convolution, linear layer or embedding | normal, variance 2 / fan-in |
| its bias | 0 |
| scale and shift of a norm | 1 and 0 |
| anything else (class tokens, tables of positions, layer scales, slopes) | left as it was made |

The coverage map says of each one why, and what was done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from initbench.api import CoverageMap, LayerKind
from initbench_ghn.cache import graph_of
from initbench_ghn.graph import Graph
from initbench_ghn.network import GHN, Tiles
from initbench_ghn.options import Head
from initbench_ghn.shapes import repeat_into

if TYPE_CHECKING:
    from initbench.api import Anatomy, Layer

Rule = Literal["normal, variance 2 / fan-in", "zero", "scale 1", "shift 0", ""]


@torch.no_grad()
def initialise(
    network: nn.Module,
    ghn: GHN,
    anatomy: Anatomy,
    image: tuple[int, int, int],
    generator: torch.Generator,
    head: Head = "predicted",
) -> CoverageMap:
    """Set the parameters of `network` in place.

    Buffers, modes and the generators that everybody shares stay as they are.

    Args:
        network: on any device; what is written is computed on the CPU.
        ghn: the hypernetwork, on the CPU.
        anatomy: of the network; it says what the fallback rules need to know.
        image: (channels, height, width) of its inputs.
        generator: of the noise and of the fallback.
        head: what becomes of the classifier. `auto`: predicted, where the hypernetwork tells as
            many classes apart as the network, else untouched.
    """
    graph = graph_of(network, image)
    noise = ghn.draw_noise(graph, generator)
    (tiles,) = ghn([graph], None if noise is None else [noise])
    return write(network, graph, tiles, anatomy, generator, _head(head, ghn, graph))


@torch.no_grad()
def members(ghn: GHN, graph: Graph, generators: list[torch.Generator]) -> list[Tiles]:
    """Return the tiles of several networks of one architecture, one for each generator.

    The graph network runs once, and the decoder once for all of them.
    """
    drawn = [ghn.draw_noise(graph, generator) for generator in generators]
    states = ghn.embeddings([graph]) * len(drawn)
    noise = [x for x in drawn if x is not None]
    return ghn.decode([graph] * len(drawn), states, noise or None)


@torch.no_grad()
def write(
    network: nn.Module,
    graph: Graph,
    tiles: Tiles,
    anatomy: Anatomy,
    generator: torch.Generator,
    head: Head = "predicted",
) -> CoverageMap:
    """Write `tiles` into the parameters of `network`, and treat the others by the rules above."""
    coverage = CoverageMap.of(network)
    parameters = dict(network.named_parameters())
    layers = layers_by_parameter(anatomy)
    of_head = _head_parameters(graph)
    primitives = {x.parameter: x.primitive for x in graph.nodes}
    for name, parameter in parameters.items():
        if name in of_head and head == "untouched":
            coverage.untouched(name, "head: as the model made it")
        elif name in of_head and head == "he":
            _fall_back(parameter, name, layers.get(name), generator)
            coverage.rule(name, "head: He's rule")
        elif name in tiles:
            repeat_into(parameter, tiles[name])
            coverage.generated(name, f"predicted from its node `{primitives.get(name, 'norm')}`")
        else:
            reason = graph.without_node[name]
            done = _fall_back(parameter, name, layers.get(name), generator)
            if done:
                coverage.fallback(name, f"{reason}: {done}")
            else:
                coverage.untouched(name, reason)
    return coverage


def _head(head: Head, ghn: GHN, graph: Graph) -> Head:
    if head != "auto":
        return head
    if graph.classifier is None:
        return "predicted"
    shape = graph.nodes[graph.classifier[1]].shape
    is_same = shape == (ghn.architecture.num_classes,)
    return "predicted" if is_same else "untouched"


def _head_parameters(graph: Graph) -> set[str | None]:
    if graph.classifier is None:
        return set()
    return {graph.nodes[place].parameter for place in graph.classifier}


def layers_by_parameter(anatomy: Anatomy) -> Mapping[str, Layer]:
    """Return the layer of each parameter."""
    return {
        name: layer
        for layer in anatomy
        for name in (layer.weight, layer.bias, *layer.others)
        if name is not None
    }


def fallback_rule(name: str, layer: Layer | None) -> Rule:
    """Say what becomes of a parameter that cannot be predicted; empty: it stays as it is."""
    if layer is None or name not in (layer.weight, layer.bias):
        return ""
    is_weight = name == layer.weight
    if layer.kind is LayerKind.NORM:
        return "scale 1" if is_weight else "shift 0"
    if layer.kind not in (LayerKind.CONV, LayerKind.LINEAR, LayerKind.EMBEDDING):
        return ""
    return "normal, variance 2 / fan-in" if is_weight else "zero"


def _fall_back(
    parameter: nn.Parameter, name: str, layer: Layer | None, generator: torch.Generator
) -> Rule:
    """Apply the fallback rule to one parameter, and return it."""
    rule = fallback_rule(name, layer)
    if rule in ("zero", "shift 0"):
        parameter.zero_()
    elif rule == "scale 1":
        parameter.fill_(1.0)
    elif rule:
        assert layer is not None
        fan_in = layer.fan_in or parameter.shape[-1]
        draw = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(math.sqrt(2 / fan_in) * draw)
    return rule
