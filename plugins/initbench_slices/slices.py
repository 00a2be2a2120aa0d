"""The weight data set: slices of the networks of a zoo, layer by layer.

Harder et al. 2023: every kernel of a layer, of all networks, is one row; in each layer the 5 % of
slices with the smallest norm are left out. As in the authors' code, one network in five is held
out, and the 5 % are of each part on its own. Nothing is centred or scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from initbench.api import Anatomy, PluginError, Zoo, ZooMember
from initbench_slices.places import Place, in_order, places_of, why_not_slices

if TYPE_CHECKING:
    from torch import Tensor

LEAST_NETWORKS = 5
HELD_OUT = 0.2
PRUNED = 0.05

Checkpoint = Literal["best", "last"]


@dataclass(frozen=True)
class LayerSlices:
    """The slices of one layer of all networks: (rows, k * k), those of a network together."""

    place: Place
    train: Tensor
    held_out: Tensor


def weight_data_set(
    zoo: Zoo, checkpoint: Checkpoint, anatomy: Anatomy | None = None
) -> list[LayerSlices]:
    """Return the slices of every layer that has some.

    Args:
        zoo: the trained networks.
        checkpoint: which weights of each.
        anatomy: of the network that the zoo is meant to consist of; left out, every weight with
            a square kernel counts as a layer, in the order of the state dictionary.

    Raises:
        PluginError: there are too few networks, they are of another architecture or differ from
            each other, or a weight is NaN, infinite, or the same everywhere.
    """
    if len(zoo) < LEAST_NETWORKS:
        raise PluginError(
            f"the zoo has {len(zoo)} trained networks ({zoo.missing} diverged or failed); expected "
            f"at least {LEAST_NETWORKS}, of which one in five is held out"
        )
    states = [member.checkpoint(checkpoint) for member in zoo]
    places = _places_in(states[0]) if anatomy is None else places_of(anatomy)
    if not places:
        raise PluginError("the networks of the zoo have no kernel larger than 1 x 1")
    for member, state in zip(zoo, states, strict=True):
        for place in places:
            _check(member, state, place)
    held_out = max(1, round(HELD_OUT * len(states)))
    return [
        LayerSlices(
            place,
            train=prune(slices_of(states[:-held_out], place)),
            held_out=prune(slices_of(states[-held_out:], place)),
        )
        for place in places
    ]


def slices_of(states: Sequence[Mapping[str, Tensor]], place: Place) -> Tensor:
    """Return the slices of one layer of some networks, (rows, k * k)."""
    import torch

    weights = torch.stack([state[place.name].detach().float().cpu() for state in states])
    return weights.reshape(-1, place.kernel**2)


def prune(slices: Tensor, share: float = PRUNED) -> Tensor:
    """Leave out the slices whose norm is below the given quantile (linearly interpolated)."""
    import numpy as np
    import torch

    norms = slices.norm(dim=1).numpy()  # torch's quantile refuses more than 2^24 values
    return slices[torch.from_numpy(norms >= np.quantile(norms, share))]


def _places_in(state: Mapping[str, Any]) -> list[Place]:
    shapes = ((name, tuple(tensor.shape)) for name, tensor in state.items())
    return in_order((name, shape) for name, shape in shapes if not why_not_slices(shape))


def _check(member: ZooMember, state: Mapping[str, Tensor], place: Place) -> None:
    """Refuse a weight that cannot be learnt from, with the reason."""
    import torch

    where = f"the network of the zoo with seed {member.seed}"
    weight = state.get(place.name)
    if weight is None or tuple(weight.shape) != place.shape:
        got = "none" if weight is None else f"one of shape {tuple(weight.shape)}"
        raise PluginError(
            f"{where} is of another architecture: expected `{place.name}` of shape {place.shape}, "
            f"got {got}"
        )
    if not torch.isfinite(weight).all():
        raise PluginError(f"{where} has NaN or infinite weights in `{place.name}`")
    if weight.numel() > 1 and bool((weight == weight.flatten()[0]).all()):
        raise PluginError(f"{where} has the same value everywhere in `{place.name}`: not trained?")
