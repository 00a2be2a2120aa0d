"""Generated weights beside those they were learnt from: is the start a copy?

The check of Zeng et al. 2025, "Generative modeling of weights: generalization or memorization?"
(arXiv 2506.07998): a generated network is held against the training network that is
nearest to it, and that distance against the one between training networks. Deviation: layer by
layer, and by Euclidean distance of the weights, as neither needs a choice of images. Neurons of a
layer can be permuted without changing what it computes; such a copy is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initbench.probes.layers import by_layer, layers_of, nothing, weights_of
from initbench.probes.probe import Observation, Population, Probe

if TYPE_CHECKING:
    import torch

    from initbench.plugin.sources import ZooMember


@dataclass(frozen=True)
class NearestNeighbour(Probe):
    """Looks for the initial weights in the zoo that the initialiser learnt from.

    The observation has, by layer: `distance` to the nearest weight of the zoo, `between`, the mean
    distance of a network of the zoo (at its best) to the nearest of any other, and `norm`, the
    root mean square norm in the zoo. Best and last checkpoints count as weights it may have learnt
    from. Layers that the networks of the zoo do not have, by name and shape, are left out.
    """

    name = "nearest_neighbour"
    scope = "trial"

    def observe(self, population: Population) -> Observation:
        """Return, by layer, how far the nearest weights of the zoo are."""
        (subject,) = population.subjects
        zoo = population.zoo()
        if zoo is None or len(zoo) < 2:
            return nothing("the initialiser learnt from no zoo of two networks or more")
        network = subject.network("initial")
        if network is None:
            return nothing("there is no initial network")
        layers = layers_of(network, population.data)
        names = {layer.name: str(layer.weight) for layer in layers}
        found = {
            name: nearest(weight.cpu(), names[name], zoo.members)
            for name, weight in weights_of(network, layers).items()
            if all(_has(member, names[name], weight.shape) for member in zoo)
        }
        return by_layer(
            {
                quantity: {name: values[i] for name, values in found.items()}
                for i, quantity in enumerate(("distance", "between", "norm"))
            }
        )


def nearest(
    weight: torch.Tensor, name: str, members: Sequence[ZooMember]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the distance of `weight` to the nearest of a zoo, that between networks, their norm.

    Args:
        weight: of one layer, float64.
        name: of this parameter in the networks of the zoo.
        members: at least two.
    """
    import torch

    best = torch.stack([m.best[name].double().flatten() for m in members])
    last = torch.stack([m.last[name].double().flatten() for m in members])
    known = torch.cat([best, last])
    # Without the shortcut by matrix products, so that the distance of a copy is 0.
    exact = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(weight.flatten()[None], known, compute_mode=exact).min()
    apart = torch.cdist(best, known, compute_mode=exact)
    itself = torch.eye(len(best), dtype=torch.bool).repeat(1, 2)
    between = apart.masked_fill(itself, torch.inf).min(1).values.mean()
    return distance, between, best.square().sum(1).mean().sqrt()


def _has(member: ZooMember, name: str, shape: torch.Size) -> bool:
    return name in member.best and member.best[name].shape == shape
