"""A diffusion model of latents, given how accurate their networks are (Ho et al. 2020).

Not in the papers: a joint density of all dimensions, in the place of independent ones. A network
of two hidden layers predicts the clean latent from a noisy one, the noise level, and the rank of
the accuracy among all training latents (0 worst, 1 best). Cosine schedule (Nichol & Dhariwal
2021), latents standardised. What is kept is the state with the lowest loss on the latents of
validation networks, so that a small set of latents is not learnt by heart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

STEPS = 100
HIDDEN = 256
_BATCH = 128
_RATE = 1e-3
_LOOKS = 50
"""Validation is looked at that many times."""
_FREQUENCIES = 8


class Prior(nn.Module):
    """Predicts clean latents; draws new ones."""

    levels: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(latent + 2 * _FREQUENCIES + 1, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, latent),
        )
        angles = (torch.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * math.pi / 2
        levels = angles.cos().square()
        self.register_buffer("levels", (levels / levels[0]).clamp(1e-4, 1.0))
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("deviation", torch.ones(latent))

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> Prior:
        with torch.device("meta"):  # nothing is drawn for what is replaced at once
            prior = cls(len(state["mean"]))
        prior.load_state_dict(dict(state), assign=True)
        return prior.eval()

    def forward(self, noisy: Tensor, step: Tensor, rank: Tensor) -> Tensor:
        """Return clean latents for noisy ones (rows, latent), their steps and ranks (rows,)."""
        powers = 2.0 ** torch.arange(_FREQUENCIES, device=noisy.device)
        angles = step[:, None] / STEPS * powers * math.pi / 2
        features = torch.cat([noisy, angles.sin(), angles.cos(), rank[:, None]], dim=1)
        found: Tensor = self.network(features)
        return found

    def noisy(self, clean: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        level = self.levels[step][:, None]
        return level.sqrt() * clean + (1 - level).sqrt() * noise

    @torch.no_grad()
    def sample(self, rank: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a latent for each rank (rows,), by ancestral sampling; on the CPU."""
        x = torch.randn(len(rank), len(self.mean), generator=generator)
        for step in range(STEPS, 0, -1):
            now, before = self.levels[step], self.levels[step - 1]
            clean = self(x, torch.full((len(rank),), step), rank)
            ratio = now / before
            mean = before.sqrt() * (1 - ratio) * clean + ratio.sqrt() * (1 - before) * x
            x = mean / (1 - now)
            if step > 1:
                variance = (1 - ratio) * (1 - before) / (1 - now)
                x = x + variance.sqrt() * torch.randn(x.shape, generator=generator)
        return x * self.deviation + self.mean


def ranks(accuracy: Tensor) -> Tensor:
    """Return where each accuracy stands among all, from 0 (worst) to 1 (best)."""
    order = accuracy.argsort(stable=True).argsort()
    found: Tensor = order / max(len(accuracy) - 1, 1)
    return found


def fit_prior(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    steps: int,
    generator: torch.Generator,
) -> Prior:
    """Return a prior of latents (rows, latent) given ranks (rows,), learnt in `steps` steps."""
    latents, rank = train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        prior = Prior(latents.shape[1])
    prior.mean.copy_(latents.mean(0))
    prior.deviation.copy_(latents.std(0).clamp_min(1e-6))
    adam = torch.optim.Adam(prior.network.parameters(), lr=_RATE)
    standardised = (latents - prior.mean) / prior.deviation
    held_out = (validation[0] - prior.mean) / prior.deviation
    judged = _draw(held_out, generator)
    lowest, best = math.inf, prior.state_dict()
    every = max(steps // _LOOKS, 1)
    for step in range(1, steps + 1):
        chosen = torch.randint(len(latents), (_BATCH,), generator=generator)
        loss = _loss(
            prior, standardised[chosen], rank[chosen], *_draw(standardised[chosen], generator)
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % every == 0:
            with torch.no_grad():
                found = float(_loss(prior, held_out, validation[1], *judged))
            if found < lowest:
                lowest, best = found, {n: x.clone() for n, x in prior.state_dict().items()}
    return Prior.restored(best)


def _draw(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a step and noise for each row."""
    step = torch.randint(1, STEPS + 1, (len(clean),), generator=generator)
    return step, torch.randn(clean.shape, generator=generator)


def _loss(prior: Prior, clean: Tensor, rank: Tensor, step: Tensor, noise: Tensor) -> Tensor:
    error: Tensor = prior(prior.noisy(clean, step, noise), step, rank) - clean
    return error.square().mean()
