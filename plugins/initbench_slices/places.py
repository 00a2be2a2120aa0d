"""Which layers of a network consist of slices, and which trained layer a layer learns from.

A slice is one k x k kernel, from one input to one output, k > 1. A weight (out, in / groups, k, k)
has out * in / groups of them, slice o * in + i from input i to output o.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from initbench.api import Anatomy, Layer, LayerKind


@dataclass(frozen=True)
class Place:
    """A layer that consists of slices: a trained one, or one to be initialised."""

    name: str
    """Of the weight, as in `named_parameters`."""
    shape: tuple[int, ...]
    depth: float
    """0 for the first such layer of its network, 1 for the last."""

    @property
    def kernel(self) -> int:
        return self.shape[-1]

    @property
    def slices(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def depthwise(self) -> bool:
        return self.shape[1] == 1 and self.depth > 0  # a stem may have one input channel

    def tree(self) -> dict[str, Any]:
        """Return the plain form that an artifact's description holds."""
        return {"name": self.name, "shape": list(self.shape), "depth": self.depth}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Place:
        return cls(tree["name"], tuple(tree["shape"]), tree["depth"])


def why_not_slices(shape: Sequence[int]) -> str:
    """Say why a weight does not consist of slices; empty where it does."""
    if len(shape) != 4:
        return "no two-dimensional kernel"
    if shape[2] != shape[3]:
        return f"{shape[2]} x {shape[3]} kernel, not square"
    return "1 x 1 kernel" if shape[2] == 1 else ""


def places_of(anatomy: Anatomy) -> list[Place]:
    """Return the layers of a network that consist of slices, in forward order."""
    return in_order((str(x.weight), x.shape) for x in anatomy.weight_layers() if has_slices(x))


def has_slices(layer: Layer) -> bool:
    """Say whether a layer consists of slices."""
    is_empty = 0 in layer.shape
    return layer.kind is LayerKind.CONV and not is_empty and not why_not_slices(layer.shape)


def in_order(weights: Iterable[tuple[str, Sequence[int]]]) -> list[Place]:
    """Return weights, given by name and shape in forward order, with their relative depths."""
    found = list(weights)
    last = max(len(found) - 1, 1)
    return [Place(name, tuple(shape), i / last) for i, (name, shape) in enumerate(found)]


def nearest(place: Place, trained: Sequence[Place]) -> int | None:
    """Return which of the trained layers `place` takes its slices from.

    Of those with a kernel of this size, it is the one at the nearest relative depth, of equally
    near ones the first. Layers with as many outputs (the same stage of a ResNet) come before all
    others. None if no trained layer has such a kernel.
    """
    same_kernel = [i for i, x in enumerate(trained) if x.kernel == place.kernel]
    same_stage = [i for i in same_kernel if trained[i].shape[0] == place.shape[0]]
    candidates = same_stage or same_kernel
    return min(candidates, key=lambda i: abs(trained[i].depth - place.depth), default=None)


def extrapolation(place: Place, trained: Place) -> str:
    """Say in what way a layer is unlike the one it learns from; empty if it is the same."""
    if place.depthwise and not trained.depthwise:
        return f"extrapolated from `{trained.name}`, which is not depthwise"
    if place.shape[0] != trained.shape[0]:
        return f"extrapolated from `{trained.name}`, of another width"
    if not math.isclose(place.depth, trained.depth):
        return f"from `{trained.name}`, the nearest in relative depth"
    return ""
