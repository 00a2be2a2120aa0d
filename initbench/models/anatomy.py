"""What an initialiser asks of a network: its layers, their roles and what follows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


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
class GeneratedTensor:
    """The weight or the bias of a layer of a main network, which a hypernetwork generates."""

    layer: Layer  # of the main network
    is_bias: bool
    with_bias: bool  # whether weight and bias of the layer are both generated
    rows: tuple[int, int]  # of the embedding: from the first up to, but without, the second

    @property
    def name(self) -> str:
        """The name that the tensor has in the main network."""
        return f"{self.layer.name}.{'bias' if self.is_bias else 'weight'}"


@dataclass(frozen=True)
class OutputLayer:
    """A layer of a hypernetwork whose outputs are tensors of the main network.

    Its weight has a row for each element of a tensor. Several tensors, from an embedding each,
    share it where there are several. Where tensors are made of blocks, each block has its own part
    of it (a group), and the layer `through`, which all blocks of all tensors share, follows without
    an activation between.
    """

    name: str  # of the layer in the hypernetwork
    tensors: tuple[GeneratedTensor, ...]
    features: int  # inputs that each tensor or block is made from
    embedding: str  # the parameter that holds the embeddings, one a row
    embedding_variance: float  # the mean square of what an embedding feeds in, noise included
    through: str | None = None


@dataclass(frozen=True)
class Anatomy:
    """The layers of one network, in forward order where tracing succeeded.

    Tied tensors are named once, by the first layer that owns them.

    The layers of a hypernetwork are those that own parameters: its own, and what it leaves to the
    main network. `main` is then the anatomy of the main network as a whole. Its layers are modules
    of the hypernetwork under the names it gives; what is generated is no parameter.
    """

    layers: tuple[Layer, ...]
    traced: bool
    note: str = ""
    main: Anatomy | None = None
    outputs: tuple[OutputLayer, ...] = ()

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def weight_layers(self) -> Iterator[Layer]:
        """Yield the convolutional and linear layers that own a weight (of tied ones, the first)."""
        kinds = (LayerKind.CONV, LayerKind.LINEAR)
        return (x for x in self.layers if x.kind in kinds and x.weight is not None)


@runtime_checkable
class SelfDescribed(Protocol):
    """A network that states its anatomy, because it cannot be read off its modules."""

    def anatomy(self) -> Anatomy:
        """Return the layers of this network."""
