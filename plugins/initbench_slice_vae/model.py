"""The slice VAE (Harder et al. 2023, section 3.2; Atanov et al. 2019, deep weight prior).

Encoder q(z | x) and decoder p(x | z) of one k x k slice x, both diagonal normal, z of N(0, I):

    loss = - log N(x; mean_x(z), variance_x) + KL(N(mean_z, variance_z) || N(0, I)),
    z = mean_z + sqrt(variance_z) * noise

The encoder is 3 convolutions, the last of which covers the slice; the decoder goes the same way
back. The encoder's second output is the variance itself (softplus), as in the authors' code.

Deviations:
- Other kernels than 3 x 3: the convolution that covers the slice has the size of the kernel. The
  paper has 3 x 3 only.
- `output_variance: learned` has a floor, because without one a slice that can be reproduced
  exactly has unbounded likelihood.
- With a fixed output variance, the authors' unused variance layer (33 parameters, which never
  move) is not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from initbench_slices.stacking import Parameters, Start, convolution, convolve, elu, pointwise
from initbench_slices.training import SliceModel
from torch import Tensor
from torch.nn.functional import softplus

OUTPUT_VARIANCE = 1e-3
VARIANCE_FLOOR = 1e-4
_TINY = torch.finfo(torch.float32).tiny  # a variance that underflows has no logarithm


@dataclass(frozen=True)
class SliceVAE(SliceModel):
    """VAEs of k x k slices; rows are slices (k * k), row by row."""

    kernel: int
    hidden: int = 32
    latent: int = 5
    learned_variance: bool = False
    rate: float = 0.01
    weight_decay: float = 1.0
    averaged: bool = False  # never with a weight decay of 1: it would win

    @property
    def noise(self) -> int:  # type: ignore[override]
        return self.latent

    def starts(self) -> Mapping[str, Start]:
        k, h, z = self.kernel, self.hidden, self.latent
        starts = {
            **convolution("encoder.features.0", h, 1, 3, 3),
            **convolution("encoder.features.2", h, h, 3, 3),
            **convolution("encoder.features.4", 2 * h, h, k, k),
            **convolution("encoder.fc_mu", z, 2 * h, 1, 1),
            **convolution("encoder.fc_sigma", z, 2 * h, 1, 1),
            **convolution("decoder.decoder.0", 2 * h, z, 1, 1),
            **convolution("decoder.decoder.2", h, 2 * h, k, k, transposed=True),
            **convolution("decoder.decoder.4", h, h, 1, 1),
            **convolution("decoder.fc_mu.0", 1, h, 1, 1),
        }
        if self.learned_variance:
            starts |= convolution("decoder.fc_var.0", 1, h, 1, 1)
        return starts

    def encode(self, parameters: Parameters, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of z, (models, rows, latent), for (models, rows, k * k)."""
        k = self.kernel
        x = elu(convolve(slices[..., None], parameters, "encoder.features.0", (k, k), 1))
        x = elu(convolve(x, parameters, "encoder.features.2", (k, k), 1))
        x = elu(convolve(x, parameters, "encoder.features.4", (k, 1)))
        mean = pointwise(x, parameters, "encoder.fc_mu")
        variance = softplus(pointwise(x, parameters, "encoder.fc_sigma"))
        return mean[:, :, 0], variance[:, :, 0].clamp_min(_TINY)

    def decode(self, parameters: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of slices, (models, rows, k * k), for (models, rows, latent)."""
        x = elu(pointwise(z[:, :, None], parameters, "decoder.decoder.0"))
        x = elu(convolve(x, parameters, "decoder.decoder.2", (1, self.kernel), transposed=True))
        x = elu(pointwise(x, parameters, "decoder.decoder.4"))
        mean = pointwise(x, parameters, "decoder.fc_mu.0")[..., 0]
        if not self.learned_variance:
            return mean, torch.full_like(mean, OUTPUT_VARIANCE)
        variance = softplus(pointwise(x, parameters, "decoder.fc_var.0"))[..., 0]
        return mean, variance + VARIANCE_FLOOR

    def losses(self, parameters: Parameters, rows: Tensor, noise: Tensor) -> Tensor:
        """Return the negative evidence lower bound of each slice, in nats."""
        mean, variance = self.encode(parameters, rows)
        decoded = self.decode(parameters, mean + variance.sqrt() * noise)
        return divergence(mean, variance).sum(2) - log_likelihood(rows, *decoded).sum(2)


def log_likelihood(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return log N(x; mean, variance), element by element."""
    return -0.5 * ((x - mean).square() / variance + variance.log() + math.log(2 * math.pi))


def divergence(mean: Tensor, variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)), element by element."""
    return 0.5 * (variance + mean.square() - 1 - variance.log())
