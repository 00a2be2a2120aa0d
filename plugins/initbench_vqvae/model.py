"""The VQVAE of slices (Harder et al. 2023, supplement; van den Oord et al. 2017).

The encoder keeps the grid of the slice, so a k x k slice is k * k vectors z_e, each of which is
replaced by the nearest of K codes e, z_q; the gradient passes straight through:

    loss = mean (x - x^)^2 + 0.25 mean (sg[z_q] - z_e)^2 + mean (z_q - sg[z_e])^2

Deviations:
- The paper says "padding of two"; that would give 81 vectors, not its own nine. The authors' code
  pads by one, and so do we.
- Other kernels than 3 x 3 keep the layers, on their own grid. The paper has 3 x 3 only.
- Dead codes are left alone, as in the authors' code; the perplexity of a fit shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from initbench_slices.stacking import Parameters, Start, convolution, convolve, elu, look_up
from initbench_slices.training import SliceModel
from torch import Tensor

COMMITMENT = 0.25
CODEBOOK = "_vq_vae._embedding.weight"


@dataclass(frozen=True)
class SliceVQVAE(SliceModel):
    """VQVAEs of k x k slices; rows are slices (k * k), row by row."""

    kernel: int
    hidden: int = 16
    latent: int = 4
    codes: int = 128
    rate: float = 0.01
    weight_decay: float = 1e-5
    averaged: bool = True

    def starts(self) -> Mapping[str, Start]:
        h, d = self.hidden, self.latent
        return {
            **convolution("encoder.encoder.0", h, 1, 3, 3),
            **convolution("encoder.encoder.2", h, h, 3, 3),
            **convolution("encoder.encoder.4", d, h, 3, 3),
            **convolution("decoder.decoder.0", h, d, 3, 3),
            **convolution("decoder.decoder.2", h, h, 3, 3, transposed=True),
            **convolution("decoder.decoder.4", 1, h, 3, 3, transposed=True),
            CODEBOOK: Start((self.codes, d), 1 / self.codes),
        }

    def encode(self, parameters: Parameters, slices: Tensor) -> Tensor:
        """Return z_e, (models, rows, k * k, latent), for slices (models, rows, k * k)."""
        grids = (self.kernel, self.kernel)
        x = elu(convolve(slices[..., None], parameters, "encoder.encoder.0", grids, 1))
        x = elu(convolve(x, parameters, "encoder.encoder.2", grids, 1))
        return convolve(x, parameters, "encoder.encoder.4", grids, 1)

    def quantise(self, parameters: Parameters, z_e: Tensor) -> Tensor:
        """Return the index of the nearest code of each vector; of equally near ones, the first."""
        codebook = parameters[CODEBOOK].detach()
        vectors = z_e.detach().flatten(1, 2)
        # |z - e|^2 without |z|^2, which is the same for all codes.
        distances = torch.baddbmm(codebook.square().sum(2)[:, None], vectors, codebook.mT, alpha=-2)
        return distances.argmin(2).view(z_e.shape[:3])

    def look_up(self, parameters: Parameters, indices: Tensor) -> Tensor:
        """Return the codes (models, rows, k * k, latent) of indices (models, rows, k * k)."""
        return look_up(parameters[CODEBOOK], indices)

    def decode(self, parameters: Parameters, codes: Tensor) -> Tensor:
        """Return slices (models, rows, k * k) for (models, rows, k * k, latent)."""
        k = (self.kernel, self.kernel)
        x = elu(convolve(codes, parameters, "decoder.decoder.0", k, 1))
        x = elu(convolve(x, parameters, "decoder.decoder.2", k, 1, transposed=True))
        return convolve(x, parameters, "decoder.decoder.4", k, 1, transposed=True)[..., 0]

    def losses(self, parameters: Parameters, rows: Tensor, noise: Tensor) -> Tensor:
        """Return each slice's share in the loss: means over its elements."""
        z_e = self.encode(parameters, rows)
        z_q = self.look_up(parameters, self.quantise(parameters, z_e))
        commitment = (z_q.detach() - z_e).square().mean((2, 3))
        codebook = (z_q - z_e.detach()).square().mean((2, 3))
        straight_through = z_e + (z_q - z_e).detach()
        error = (rows - self.decode(parameters, straight_through)).square().mean(2)
        return error + COMMITMENT * commitment + codebook


def perplexity(indices: Tensor, codes: int) -> float:
    """Return how many codes are in use, as if they were used equally: 1 is a collapse."""
    shares = torch.bincount(indices.flatten(), minlength=codes) / indices.numel()
    return float((-(shares * (shares + 1e-10).log()).sum()).exp())
