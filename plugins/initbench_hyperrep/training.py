"""Training the autoencoder (Schürholt et al. 2021, appendix and code; 2022, section 2).

    loss = beta * reconstruction + (1 - beta) * contrast

Each step draws two views of each network of a batch. Both are encoded and decoded, and what is to
be reconstructed is the view itself. Adam, its rate divided at plateaus of the training loss; the
epoch with the lowest reconstruction loss on validation networks is kept.

Deviations:
- Validation networks are looked at as they are, without views, after every epoch.
- A step whose loss or gradient is not finite is left out. Where no epoch ends with a finite
  validation loss, the fit fails.
- On CUDA, mixed precision (bfloat16); losses and everything after training in float32.
- A training part smaller than a batch is one batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from initbench.api import PluginError
from initbench_hyperrep.augmentation import Erasing, Views
from initbench_hyperrep.contrast import ProjectionHead, nt_xent, positives_only
from initbench_hyperrep.losses import Yardstick
from initbench_hyperrep.network import Autoencoder, Sizes
from initbench_hyperrep.tokens import TokenTable

CONTRASTS = {"nt_xent": nt_xent, "positives_only": positives_only}


@dataclass(frozen=True)
class Lesson:
    """How the autoencoder is trained."""

    epochs: int
    batch_size: int
    rate: float
    balance: float
    """Of reconstruction (beta)."""
    contrast: Literal["nt_xent", "positives_only"] = "nt_xent"
    head: tuple[int, int, int] = (4, 400, 50)
    """Hidden layers, their width, and outputs of the projection head."""
    weight_decay: float = 1e-9
    keep: Literal["best", "last"] = "best"
    """The epoch with the lowest validation loss, or the last."""
    patience: int = 100
    """Epochs without a better validation loss after which training ends; not where the last is
    kept."""
    factor: float = 0.3
    plateau: int = 10
    """Epochs without a better training loss after which the rate is multiplied by `factor`."""


@dataclass
class Progress:
    """What has come of a training so far."""

    losses: list[float] = field(default_factory=list)  # mean of each epoch
    validation: list[float] = field(default_factory=list)  # reconstruction, after each epoch
    kept: dict[str, Tensor] = field(default_factory=dict)
    kept_epoch: int = 0
    left_out: int = 0  # steps that were not finite


def train(
    table: TokenTable,
    sizes: Sizes,
    lesson: Lesson,
    rows: tuple[Tensor, Tensor],
    yardstick: Yardstick,
    permutable: list[int],
    erasing: Erasing,
    generator: torch.Generator,
    device: str,
) -> tuple[Autoencoder, Progress]:
    """Return the autoencoder that is kept, in evaluation mode, and how training went.

    Args:
        rows: vectors to learn from, and of validation networks, (rows, size).
        generator: the source of randomness, on the CPU.

    Raises PluginError if no epoch had a finite validation loss.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    devices = [device] if device != "cpu" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # initial weights and dropout
        trainer = Trainer(table, sizes, lesson, yardstick, permutable, erasing, seed, device)
        progress = trainer.train(rows[0].to(device), rows[1].to(device))
    if not progress.kept:
        raise PluginError(
            f"the autoencoder never had a finite validation loss ({progress.left_out} steps were "
            "not finite); a smaller `rate` may help"
        )
    trainer.autoencoder.load_state_dict(progress.kept)
    return trainer.autoencoder.eval(), progress


class Trainer:
    """One training, on one device."""

    def __init__(
        self,
        table: TokenTable,
        sizes: Sizes,
        lesson: Lesson,
        yardstick: Yardstick,
        permutable: list[int],
        erasing: Erasing,
        seed: int,
        device: str,
    ) -> None:
        self.lesson, self.device = lesson, device
        self.yardstick = Yardstick(table, yardstick.deviations.to(device))
        self.generator = torch.Generator(device).manual_seed(seed)
        self.views = Views(table, permutable, erasing, self.generator)
        self.autoencoder = Autoencoder(table, sizes).to(device)
        self.head = ProjectionHead(sizes.latent, *lesson.head).to(device)
        parameters = [*self.autoencoder.parameters(), *self.head.parameters()]
        self.parameters = parameters
        self.adam = torch.optim.Adam(
            parameters, lr=lesson.rate, weight_decay=lesson.weight_decay, fused=device != "cpu"
        )
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.adam, factor=lesson.factor, patience=lesson.plateau
        )

    def train(self, rows: Tensor, validation: Tensor) -> Progress:
        """Train to the last epoch, or until validation no longer improves."""
        progress = Progress()
        lowest, since = math.inf, 0
        while len(progress.losses) < self.lesson.epochs and since < self.lesson.patience:
            loss = self._epoch(rows, progress)
            progress.losses.append(loss)
            self.schedule.step(loss)
            progress.validation.append(self.reconstruction(validation))
            since += 1
            if self.lesson.keep == "last" or progress.validation[-1] < lowest:
                lowest, since = progress.validation[-1], 0
                self._keep(progress)
        return progress

    def step(self, rows: Tensor) -> float:
        """Learn from vectors (rows, size); return the loss, infinite where nothing was learnt."""
        loss = self.loss(rows)
        self.adam.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, math.inf)  # only measures it
        found, length = torch.stack([loss.detach(), norm]).tolist()
        if not (math.isfinite(found) and math.isfinite(length)):
            return math.inf
        self.adam.step()
        return float(found)

    def loss(self, rows: Tensor) -> Tensor:
        """Return the loss of vectors (rows, size), of two views each."""
        views = torch.cat([self.views.draw(rows), self.views.draw(rows)])
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device != "cpu"):
            latents, decoded = self.autoencoder(views)
        # Each view on its own, as in the code: batch norm sees one view of each network.
        projected = torch.cat([self.head(half.float()) for half in latents.chunk(2)])
        contrast = CONTRASTS[self.lesson.contrast](projected)
        reconstruction = self.yardstick.loss(decoded.float(), views)
        beta = self.lesson.balance
        return beta * reconstruction + (1 - beta) * contrast

    @torch.no_grad()
    def reconstruction(self, rows: Tensor) -> float:
        """Return the reconstruction loss of vectors as they are."""
        self.autoencoder.eval()
        total = sum(
            float(self.yardstick.loss(self.autoencoder(part)[1], part)) * len(part)
            for part in rows.split(self.lesson.batch_size)
        )
        self.autoencoder.train()
        return total / len(rows)

    def _keep(self, progress: Progress) -> None:
        if math.isfinite(progress.validation[-1]):
            progress.kept_epoch = len(progress.validation)
            state = self.autoencoder.state_dict().items()
            progress.kept = {name: x.clone() for name, x in state}

    def _epoch(self, rows: Tensor, progress: Progress) -> float:
        size = min(self.lesson.batch_size, len(rows))
        order = torch.randperm(len(rows), generator=self.generator, device=self.device)
        losses = [self.step(rows[x]) for x in order.split(size) if len(x) == size]
        finite = [x for x in losses if math.isfinite(x)]
        progress.left_out += len(losses) - len(finite)
        return sum(finite) / len(finite) if finite else math.inf
