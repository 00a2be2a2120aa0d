"""How much faster the slice VAEs of a ResNet-20 are fitted together than one after another.

    python -m initbench_slice_vae.bench [--steps 40] [--rounds 3] [--device cpu]

Both sides train the 19 models on the same random slices for the same number of steps, in turns.
One after another is timed in two forms: stacks of one model, and PyTorch's own modules with its
own Adam, as one would write it for a single layer. Then drawing all slices of a ResNet-20 is timed.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from statistics import median

import torch
from initbench_slices.drawing import random_models, report
from initbench_slices.training import BATCH, Lesson, train
from torch import Tensor, nn
from torch.nn.functional import softplus

from initbench_slice_vae.initialiser import SliceVAEConfig, SliceVAEInitialiser
from initbench_slice_vae.model import OUTPUT_VARIANCE, SliceVAE, divergence, log_likelihood

LAYERS = 19


def lessons(steps: int) -> list[Lesson]:
    """Return as many lessons as ResNet-20 has layers, of one epoch each."""
    found = []
    for seed in range(LAYERS):
        generator = torch.Generator().manual_seed(seed)
        slices = torch.randn(steps * BATCH, 9, generator=generator) * 0.1
        found.append(Lesson(str(seed), slices, slices[:BATCH], 1, generator))
    return found


def stacked(steps: int, device: str) -> None:
    """Fit all layers at once."""
    train(SliceVAE(3), lessons(steps), device)


def one_by_one(steps: int, device: str) -> None:
    """Fit one layer after another, with the same code."""
    for lesson in lessons(steps):
        train(SliceVAE(3), [lesson], device)


def plain(steps: int, device: str) -> None:
    """Fit one layer after another, with PyTorch's modules and optimiser."""
    for lesson in lessons(steps):
        model = _Plain().to(device)
        optimiser = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1.0)
        slices = lesson.train.view(-1, 1, 3, 3).to(device)
        order = torch.randperm(len(slices), generator=lesson.generator).to(device)
        for batch in order.split(BATCH):
            optimiser.zero_grad()
            model(slices[batch]).backward()
            optimiser.step()


class _Plain(nn.Module):
    """The same VAE; returns the loss of a batch."""

    def __init__(self, hidden: int = 32, latent: int = 5) -> None:
        super().__init__()
        elu, h = nn.ELU(), hidden
        self.encoder = nn.Sequential(
            nn.Conv2d(1, h, 3, padding=1), elu, nn.Conv2d(h, h, 3, padding=1), elu,
            nn.Conv2d(h, 2 * h, 3), elu,
        )  # fmt: skip
        self.mean, self.variance = (nn.Conv2d(2 * h, latent, 1) for _ in range(2))
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, 2 * h, 1), elu, nn.ConvTranspose2d(2 * h, h, 3), elu,
            nn.Conv2d(h, h, 1), elu, nn.Conv2d(h, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.encoder(x)
        mean, variance = self.mean(hidden), softplus(self.variance(hidden))
        decoded = self.decoder(mean + variance.sqrt() * torch.randn_like(mean))
        likelihood = log_likelihood(x, decoded, torch.full_like(x, OUTPUT_VARIANCE))
        return divergence(mean, variance).sum() - likelihood.sum()


def seconds(side: Callable[[int, str], None], steps: int, device: str) -> float:
    """Return how long a side takes."""
    started = time.perf_counter()
    side(steps, device)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Time all sides in turns and report the medians of their ratios."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Fit slice VAEs stacked and one after another.")
    parser.add_argument("--steps", type=int, default=40, help="of each layer (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="each side, in turns (default: 3)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    options = parser.parse_args()
    sides = {"stacked": stacked, "stacks of one": one_by_one, "plain PyTorch": plain}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for name, side in sides.items():
        seconds(side, 2, options.device)  # warm up
        logging.info("warmed up: %s", name)
    for _ in range(options.rounds):
        for name, side in sides.items():
            times[name].append(seconds(side, options.steps, options.device))
    for name, found in times.items():
        ratio = median(x / y for x, y in zip(found, times["stacked"], strict=True))
        per_step = 1000 * median(found) / options.steps
        logging.info("%-14s %8.1f ms a step of all layers  %5.2f x stacked", name, per_step, ratio)
    initialiser = SliceVAEInitialiser(SliceVAEConfig())
    models = random_models(SliceVAE(3).starts())
    report(initialiser, models, options.device, options.rounds, members=25)


if __name__ == "__main__":
    main()
