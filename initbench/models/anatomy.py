"""What an initialiser asks of a network: its layers, their roles and what follows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class LayerKind(StrEnum):
    """The kinds of layers that own parameters."""

    CONV = "conv"
    LINEAR = "linear"
    NORM = "norm"
    EMBEDDING = "embedding"
    OTHER = "other"


class LayerRole(StrEnum):
    """Where a layer stands."""

    STEM = "stem"  # the first weight layer
    HIDDEN = "hidden"
    HEAD = "head"  # the last weight layer: the classifier


@dataclass(frozen=True)
class Layer:
    """One module that owns parameters directly.

    `weight` and `bias` are full parameter names (as in `named_parameters`); `others` names any
    further parameters the module owns. Fans count one group: a depthwise 3x3 conv has fan-in 9.
    """

    name: str
    kind: LayerKind
    role: LayerRole
    weight: str | None
    bias: str | None
    others: tuple[str, ...]
    shape: tuple[int, ...]  # of the weight: (out, in / groups, *kernel), or, where a convolution is
    # transposed, (in, out / groups, *kernel); () without a weight
    groups: int
    fan_in: int
    fan_out: int
    activation: str  # "relu", "tanh", ..., "identity" where none follows
    activation_parameter: float | None  # the slope of a leaky ReLU
    activation_from: str  # "traced", or "assumed" with the reason

    @property
    def receptive_field(self) -> int:
        """The number of kernel positions (1 for linear layers)."""
        size = 1
        for extent in self.shape[2:]:
            size *= extent
        return size


@dataclass(frozen=True)
class Anatomy:
    """The layers of one network, in forward order where tracing succeeded.

    Tied tensors are named once, by the first layer that owns them.
    """

    layers: tuple[Layer, ...]
    traced: bool
    note: str = ""

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def weight_layers(self) -> Iterator[Layer]:
        """Yield the convolutional and linear layers that own a weight (of tied ones, the first)."""
        kinds = (LayerKind.CONV, LayerKind.LINEAR)
        return (x for x in self.layers if x.kind in kinds and x.weight is not None)
