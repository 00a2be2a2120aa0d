"""Layers as probes see them: which there are, and what is kept of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from initbench.probes.probe import Observation

if TYPE_CHECKING:
    import torch

    from initbench.data.device_data import DeviceData
    from initbench.models.anatomy import Layer


def layers_of(network: torch.nn.Module, data: DeviceData) -> list[Layer]:
    """Return the convolutional and linear layers of a network, in forward order if it is known.

    Of a network whose weights are generated these are the layers of the main network. Two images
    of `data` are run where the network cannot be traced.
    """
    import torch

    from initbench.models.layers import computing_layers

    first = torch.arange(2, device=data.device) % len(data.train)
    return computing_layers(network, data.batch("train", first)[0])


def weights_of(network: torch.nn.Module, layers: list[Layer]) -> dict[str, torch.Tensor]:
    """Return the weights by the names of their layers, in float64; generated ones as generated.

    Layers that share a weight have it once, under the first of their names.
    """
    from initbench.models.hypernetwork.network import GeneratedNetwork

    tensors: dict[str, torch.Tensor] = dict(network.named_parameters())
    if isinstance(network, GeneratedNetwork):
        tensors |= {f"main.{name}": tensor for name, tensor in network.generated().items()}
    return {
        layer.name: tensors[layer.weight].detach().double()
        for layer in layers
        if layer.weight in tensors
    }


def by_layer(
    quantities: Mapping[str, Mapping[str, torch.Tensor | float]],
    others: Mapping[str, torch.Tensor] | None = None,
    *,
    notes: list[str] | None = None,
) -> Observation:
    """Return an observation that keeps numbers by quantity and layer.

    Each quantity becomes a vector, with the names of its layers in the description, under
    `layers`. `others` are tensors that belong to no layer, `notes` what readers must know.
    """
    import torch

    vectors = {
        quantity: torch.tensor([float(x) for x in found.values()], dtype=torch.float64)
        for quantity, found in quantities.items()
    }
    names = {quantity: list(found) for quantity, found in quantities.items()}
    return Observation({**vectors, **(others or {})}, {"layers": names, "notes": notes or []})


def nothing(reason: str) -> Observation:
    """Return what a probe saw where there was no network to look at."""
    return Observation({}, {"layers": {}, "notes": [reason]})
