"""Drawing latents from those of training networks (Schürholt et al. 2022, section 2 and code).

| sampler | a sample is |
| --- | --- |
| `kde_independent` | in each dimension, a training latent of its own, plus N(0, h^2) (the paper) |
| `kde_shared` | one training latent, plus one number of N(0, h^2) in all dimensions (the code) |
| `kde_full` | one training latent, plus N(0, factor^2 * covariance), factor by Scott's rule |
| `diffusion` | from a diffusion model of latents (`prior`) |
| `reconstruction` | one training latent |

The paper has densities of independent dimensions. Its code starts the generator anew, with the
same seed, for each of them, so that all take the same latent and the same offset:
`released_population` is that very stream. h = 0.002, from the code; the paper gives no value.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Sampler = Literal["kde_independent", "kde_shared", "kde_full", "diffusion", "reconstruction"]

BANDWIDTH = 0.002
RELEASED_SEED = 42


def best(latents: Tensor, accuracy: Tensor, share: float) -> Tensor:
    """Return the latents whose accuracy is at least the quantile 1 - `share` (interpolated)."""
    threshold = float(np.quantile(accuracy.double().numpy(), 1 - share))
    return latents[accuracy.double() >= threshold]


def kde_independent(
    latents: Tensor, count: int, generator: torch.Generator, bandwidth: float = BANDWIDTH
) -> Tensor:
    """Draw (count, dimensions): each dimension from its own density."""
    rows = torch.randint(len(latents), (count, latents.shape[1]), generator=generator)
    noise = torch.randn(count, latents.shape[1], generator=generator)
    return torch.add(latents.gather(0, rows), noise, alpha=bandwidth)


def kde_shared(
    latents: Tensor, count: int, generator: torch.Generator, bandwidth: float = BANDWIDTH
) -> Tensor:
    """Draw (count, dimensions): all dimensions with one row and one offset."""
    rows = torch.randint(len(latents), (count,), generator=generator)
    return latents[rows] + bandwidth * torch.randn(count, 1, generator=generator)


def kde_full(latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw (count, dimensions) from a density whose kernel has the covariance of the latents."""
    dimensions = latents.shape[1]
    factor: float = len(latents) ** (-1 / (dimensions + 4))  # Scott's rule
    # The symmetric root: a Cholesky factor would need full rank.
    covariance = latents.double().T.cov(correction=min(len(latents) - 1, 1))
    values, vectors = torch.linalg.eigh(covariance)
    root = ((vectors * values.clamp_min(0).sqrt()) @ vectors.T).float()
    rows = torch.randint(len(latents), (count,), generator=generator)
    noise: Tensor = torch.randn(count, dimensions, generator=generator) @ root
    return latents[rows] + factor * noise


def reconstruction(latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw (count, dimensions): training latents, unchanged."""
    return latents[torch.randint(len(latents), (count,), generator=generator)]


def released_population(
    latents: NDArray[np.float64],
    count: int,
    seed: int = RELEASED_SEED,
    bandwidth: float = BANDWIDTH,
) -> NDArray[np.float64]:
    """Return the samples of the released code, (count, dimensions), to the last bit.

    Its legacy generator draws, for every dimension anew: which row, then the offsets.
    """
    stream = np.random.RandomState(seed)
    rows = (stream.uniform(size=count) * len(latents)).astype(int)
    offsets = stream.normal(size=count) * bandwidth
    drawn: NDArray[np.float64] = latents[rows] + offsets[:, None]
    return drawn
