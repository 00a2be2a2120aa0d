"""The layers that compute: the convolutional and linear ones, of a main network if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from initbench.models.anatomy import Layer, LayerKind

if TYPE_CHECKING:
    import torch
    from torch import nn


def computing_layers(network: nn.Module, example: torch.Tensor) -> list[Layer]:
    """Return the convolutional and linear layers of a network, in forward order if it is known.

    Of a network whose weights are generated these are the layers of the main network. `example`, a
    batch of two, is run where the network cannot be traced.
    """
    from initbench.models.tracing import anatomy

    found = anatomy(network, example)
    layers = found if found.main is None else found.main
    return [layer for layer in layers if layer.kind in (LayerKind.CONV, LayerKind.LINEAR)]


@contextmanager
def listening(
    network: nn.Module,
    layers: Sequence[Layer],
    response: Callable[[Layer, torch.Tensor, torch.Tensor | None], None],
    gradient: Callable[[Layer, torch.Tensor], None],
) -> Iterator[None]:
    """Tell of all that passes the layers while this context lasts, and leave no trace.

    `response` is told of what a layer puts out, before its activation function, each time it is
    called, and of the weight that it used, which may be a generated one; None where it is no
    tensor of the layer. `gradient` is told of the gradient with respect to what was put out, when
    it comes back.
    """
    import torch

    def heard(layer: Layer, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        _, _, local = (layer.weight or "").rpartition(".")
        weight = getattr(module, local, None) if local else None
        response(layer, output, weight if isinstance(weight, torch.Tensor) else None)
        if output.requires_grad:
            output.register_hook(partial(gradient, layer))

    handles = [
        network.get_submodule(layer.name).register_forward_hook(partial(heard, layer))
        for layer in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class Moments:
    """Mean and variance of all elements of some tensors."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, tensor: torch.Tensor) -> None:
        """Count the elements of a tensor in."""
        numbers = tensor.detach().double()
        self.count += numbers.numel()
        self.total += numbers.sum().item()
        self.squares += numbers.square().sum().item()

    @property
    def mean(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else float("nan")

    @property
    def variance(self) -> float:
        """The mean squared deviation from the mean; NaN of nothing."""
        if not self.count:
            return float("nan")
        return max(self.squares / self.count - self.mean**2, 0.0)  # NaN stays NaN
