"""The weights of single networks: how large they are, how alike filters are, how far they went.

* Knyazev 2022, "Pretraining a neural network before knowing its architecture" (arXiv 2207.10049),
  figure 2 and section 3: predicted weights have correlated channels, which hinders fine-tuning.
  With the weight as a matrix of one row a filter, r is the matrix of Pearson correlations between
  rows. The paper looks at r; the released code scales its noise by the deviation of all entries of
  r, between the rows of the matrix or, where that is wider than high, of its transpose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from initbench.probes.layers import by_layer, layers_of, nothing, weights_of
from initbench.probes.probe import Checkpoint, Observation, Population, Probe

if TYPE_CHECKING:
    import torch

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Weights(Probe):
    """Looks at the weights of convolutional and linear layers.

    The observation has, by layer: `norm`, the Euclidean norm; `correlation`, the mean magnitude of
    the Pearson correlation between two filters (output channels); `correlation_deviation`, the
    deviation of the correlations as in Knyazev's code. A filter without variance has none, and
    layers with fewer than two others are left out.
    """

    name = "weights"
    scope = "trial"

    checkpoint: Checkpoint = "initial"

    def observe(self, population: Population) -> Observation:
        """Return norms and correlations by layer."""
        (subject,) = population.subjects
        network = subject.network(self.checkpoint)
        if network is None:
            return nothing(f"there is no {self.checkpoint} network")
        weights = weights_of(network, layers_of(network, population.data))
        correlations = {name: mean_correlation(w.flatten(1)) for name, w in weights.items()}
        deviations = {name: correlation_deviation(_tall(w)) for name, w in weights.items()}
        return by_layer(
            {
                "norm": {name: w.norm() for name, w in weights.items()},
                "correlation": {n: x for n, x in correlations.items() if x is not None},
                "correlation_deviation": {n: x for n, x in deviations.items() if x is not None},
            }
        )


@dataclass(frozen=True)
class Travel(Probe):
    """Looks at how far training moved the weights.

    The observation has, by layer: `distance`, the Euclidean distance of its weight from where it
    began, and `start`, the norm there. `total_distance` and `total_start` are those of all
    parameters together. A generated weight moves where what generates it moves; all parameters
    are then those of the hypernetwork.
    """

    name = "travel"
    scope = "trial"

    checkpoint: Literal["best", "last"] = "last"

    def observe(self, population: Population) -> Observation:
        """Return distances by layer, and of all parameters."""
        (subject,) = population.subjects
        start, end = subject.network("initial"), subject.network(self.checkpoint)
        if start is None or end is None:
            return nothing(f"there is no {self.checkpoint} network")
        layers = layers_of(start, population.data)
        before, after = weights_of(start, layers), weights_of(end, layers)
        begun, ended = _parameters(start), _parameters(end)
        return by_layer(
            {
                "distance": {name: (after[name] - w).norm() for name, w in before.items()},
                "start": {name: w.norm() for name, w in before.items()},
            },
            {"total_distance": (ended - begun).norm(), "total_start": begun.norm()},
        )


def mean_correlation(rows: torch.Tensor) -> float | None:
    """Return the mean |r| over pairs of rows (filters, elements); None without such a pair."""
    standard = _standardised(rows)
    count = len(standard)
    if count < 2:
        return None
    total = sum(
        float((part @ standard.T).abs().sum()) for part in standard.split(_ROWS_AT_ONCE)
    )  # with the diagonal, where r is 1
    return (total - count) / (count * (count - 1))


def correlation_deviation(rows: torch.Tensor) -> float | None:
    """Return the deviation (n - 1) of all r between rows, diagonal included; None without a pair.

    With rows z of unit length, r = z z'. The sum of all entries and that of their squares are had
    without this matrix, which can be large: |z' 1|^2, and the squared norm of z' z.
    """
    standard = _standardised(rows)
    entries = len(standard) ** 2
    if entries < 4:
        return None
    total = float(standard.sum(0).square().sum())
    squares = float((standard.T @ standard).square().sum())
    variance = (squares - total**2 / entries) / (entries - 1)
    return math.sqrt(max(variance, 0.0))


def _standardised(rows: torch.Tensor) -> torch.Tensor:
    """Return rows with mean 0 and length 1; those without variance are left out."""
    centred = rows - rows.mean(1, keepdim=True)
    lengths = centred.norm(dim=1)
    rounding = 1e-12 * rows.norm(dim=1)
    varies = lengths > rounding
    standard: torch.Tensor = centred[varies] / lengths[varies, None]
    return standard


def _tall(weight: torch.Tensor) -> torch.Tensor:
    matrix = weight.flatten(1)
    return matrix.T if matrix.shape[0] < matrix.shape[1] else matrix


def _parameters(network: torch.nn.Module) -> torch.Tensor:
    import torch

    return torch.cat([p.detach().double().flatten() for p in network.parameters()])
