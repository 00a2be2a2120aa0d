"""The contrastive term: two views of a network are to be close, others far (Chen et al. 2020).

With u = head(z) for all 2B views of B networks, and s_ab = cos(u_a, u_b) / temperature,

    loss = mean over a of [ -log( exp(s_a,pos(a)) / sum over b != a of exp(s_ab) ) ]

pos(a) being the other view of the same network. The head is dropped after training.

`positives_only` is what the released code has in its place for CIFAR-10: the mean over pairs of
(cos / temperature)^2. Taken literally it pulls pairs towards a cosine of 0; it is offered for
`fidelity: code` only. (The 2022 version also divides by the number of views.)
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE = 0.1
_BIAS = 0.01


class ProjectionHead(nn.Sequential):
    """Latents (rows, latent) to (rows, out), by `hidden_layers` layers with batch norm and ReLU."""

    def __init__(self, latent: int, hidden_layers: int, hidden: int, out: int) -> None:
        super().__init__(*_layers(latent, hidden_layers, hidden, out))
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.constant_(layer.bias, _BIAS)


def _layers(latent: int, hidden_layers: int, hidden: int, out: int) -> Iterator[nn.Module]:
    width = latent
    for _ in range(hidden_layers):
        yield from (nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
        width = hidden
    yield from (nn.Linear(width, out), nn.BatchNorm1d(out))


def nt_xent(views: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the normalised temperature-scaled cross entropy of views (2B, features).

    Row i and row B + i are the two views of one network.
    """
    pairs = len(views) // 2
    directions = functional.normalize(views, dim=1)
    similarities = directions @ directions.T / temperature
    similarities.fill_diagonal_(float("-inf"))
    others = torch.arange(len(views), device=views.device).roll(-pairs)
    return functional.cross_entropy(similarities, others)


def positives_only(views: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the mean over pairs of views (2B, features) of (cos / temperature)^2."""
    first, second = views.chunk(2)
    return (functional.cosine_similarity(first, second) / temperature).square().mean()
