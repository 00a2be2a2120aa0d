"""Training a graph hypernetwork on images (Harder et al. 2023, section 3.3; Knyazev et al. 2021).

Each step predicts the parameters of all architectures, runs all of them on the same images, and
moves the hypernetwork by Adam. A Noise GHN predicts twice, with two draws of noise:

    loss = mean cross entropy of all passes + w * cos(l1, l2)

l1 and l2 being the logits of the two draws: those of all images and architectures as one vector
(the code). The paper has, for each image and architecture, two cross entropies and one cosine;
their sum, divided by the number of passes, is `similarity: paper`. What is kept is the epoch with
the lowest validation cross entropy.

All architectures of a step go through the graph network and the decoder as one batch.

A step whose loss or gradient is not finite is left out; an epoch that loses more than one in 50,
and more than 10, ends in an error. The state after each epoch can be kept in a file, from which the
next attempt goes on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from initbench.api import PluginError, Split
from initbench_ghn.cache import graph_of
from initbench_ghn.network import GHN, parameters_of

CLIP = 5.0
SHARE_OF_FAILURES = 50
LEAST_FAILURES = 10
PADDING = 4


@dataclass(frozen=True)
class Lesson:
    """How long, how fast, and what noise is for."""

    epochs: int
    milestones: tuple[int, ...] = ()
    """Epochs after which the rate is divided by ten."""
    batch_size: int = 64
    rate: float = 1e-3
    weight_decay: float = 1e-5
    similarity: Literal["code", "paper"] = "code"
    similarity_weight: float = 1.0
    amp: bool = False


@dataclass
class Pictures:
    """The images of a split on a device, normalised when a batch is made."""

    split: Split
    mean: Tensor  # (channels, 1, 1)
    std: Tensor

    def batch(
        self, chosen: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return images and labels; with a generator, shifted by up to 4 pixels and mirrored."""
        images = self.split.images[chosen].to(self.mean.device).float() / 255
        images = (images - self.mean) / self.std
        labels = self.split.labels[chosen].to(self.mean.device)
        return (images if generator is None else augmented(images, generator)), labels

    def __len__(self) -> int:
        return len(self.split)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return random crops of images with 4 pixels of zeros around them, half of them mirrored."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (PADDING,) * 4)
    top, left = torch.randint(2 * PADDING + 1, (2, count, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    place = torch.arange(count, device=images.device)[:, None, None]
    return padded.movedim(1, -1)[place, rows[:, :, None], columns[:, None]].movedim(-1, 1)


@dataclass
class Progress:
    """What has come of a training so far."""

    epoch: int = 0
    losses: list[float] = field(default_factory=list)  # mean of each epoch
    validation: list[float] = field(default_factory=list)  # cross entropy after each epoch
    best: dict[str, Tensor] = field(default_factory=dict)
    failures: int = 0


class Trainer:
    """Trains `ghn` in place, on its device."""

    def __init__(
        self,
        ghn: GHN,
        networks: Sequence[nn.Module],
        lesson: Lesson,
        generator: torch.Generator,
    ) -> None:
        self.ghn, self.networks, self.lesson = ghn, networks, lesson
        self.generator = generator
        self.shapes = [{n: p.shape for n, p in x.named_parameters()} for x in networks]
        self.adam = torch.optim.Adam(
            ghn.parameters(), lr=lesson.rate, weight_decay=lesson.weight_decay
        )
        self.draws = 1 if ghn.architecture.noise is None else 2
        self.progress = Progress()

    def train(self, train: Pictures, validation: Pictures, state: Path | None = None) -> Progress:
        """Train to the last epoch; go on where the file `state` ends, and keep it up to date.

        Raises PluginError if too many steps fail.
        """
        image = tuple(train.split.images.shape[1:])
        self.graphs = [graph_of(x, image) for x in self.networks]  # type: ignore[arg-type]
        if state is not None and state.is_file():
            self._restore(state)
        while self.progress.epoch < self.lesson.epochs:
            self.progress.losses.append(self._epoch(train))
            self._judge(validation)
            self.progress.epoch += 1
            if state is not None:
                self._keep(state)
        return self.progress

    def loss(self, images: Tensor, labels: Tensor, noise: Sequence[list[Tensor]]) -> Tensor:
        """Return the loss of a batch; `noise` holds, for each draw, that of each architecture."""
        draws = self._logits(images, noise)
        entropies = [functional.cross_entropy(x, labels) for draw in draws for x in draw]
        loss = torch.stack(entropies).mean()
        if len(draws) < 2:
            return loss
        first, second = (torch.stack(draw).float() for draw in draws)
        weight = self.lesson.similarity_weight
        if self.lesson.similarity == "code":
            return loss + weight * functional.cosine_similarity(
                first.flatten(), second.flatten(), 0
            )
        return loss + weight * functional.cosine_similarity(first, second, 2).mean() / 2

    def _logits(self, images: Tensor, noise: Sequence[list[Tensor]]) -> list[list[Tensor]]:
        """Return (images, classes) for each architecture, for each draw."""
        draws, count = max(len(noise), 1), len(self.graphs)
        states = self.ghn.embeddings(self.graphs) * draws
        flat = [x for draw in noise for x in draw]
        tiles = self.ghn.decode(list(self.graphs) * draws, states, flat or None)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.lesson.amp):
            logits = [
                functional_call(
                    self.networks[i % count], parameters_of(x, self.shapes[i % count]), (images,)
                ).float()
                for i, x in enumerate(tiles)
            ]
        return [logits[first : first + count] for first in range(0, len(logits), count)]

    def _noise(self, draws: int) -> list[list[Tensor]]:
        found = []
        for _ in range(draws):
            drawn = [self.ghn.draw_noise(graph, self.generator) for graph in self.graphs]
            found.append([x for x in drawn if x is not None])
        return [draw for draw in found if draw]

    def _epoch(self, train: Pictures) -> float:
        self.ghn.train()
        lesson = self.lesson
        passed = sum(self.progress.epoch >= milestone for milestone in lesson.milestones)
        for group in self.adam.param_groups:
            group["lr"] = lesson.rate * 0.1**passed
        batches = torch.randperm(len(train), generator=self.generator).split(lesson.batch_size)
        total, failures = 0.0, 0
        for chosen in batches:
            loss = self._step(*train.batch(chosen, self.generator))
            if loss is None:
                failures += 1
                if failures > max(LEAST_FAILURES, len(batches) // SHARE_OF_FAILURES):
                    raise PluginError(
                        f"the graph hypernetwork diverged: {failures} steps of epoch "
                        f"{self.progress.epoch + 1} had a loss or gradient that is not finite"
                    )
            else:
                total += loss
        self.progress.failures += failures
        return total / max(len(batches) - failures, 1)

    def _step(self, images: Tensor, labels: Tensor) -> float | None:
        """Take a step, and return its loss; None where it is not finite."""
        self.adam.zero_grad()
        loss = self.loss(images, labels, self._noise(self.draws))
        value = float(loss.detach())
        if not math.isfinite(value):
            return None
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.ghn.parameters(), CLIP)
        if not math.isfinite(float(norm)):
            return None
        self.adam.step()
        return value

    @torch.no_grad()
    def _judge(self, validation: Pictures) -> None:
        """Keep the hypernetwork if its mean validation cross entropy was never lower."""
        self.ghn.eval()
        before = self.generator.get_state()
        total = 0.0
        for chosen in torch.arange(len(validation)).split(self.lesson.batch_size):
            images, labels = validation.batch(chosen)
            (logits,) = self._logits(images, self._noise(1))
            entropies = [functional.cross_entropy(x, labels) for x in logits]
            total += float(torch.stack(entropies).mean()) * len(chosen)
        self.generator.set_state(before)
        found = total / len(validation)
        if math.isfinite(found) and found <= min(self.progress.validation, default=math.inf):
            self.progress.best = {n: x.clone() for n, x in self.ghn.state_dict().items()}
        self.progress.validation.append(found if math.isfinite(found) else math.inf)

    def _keep(self, path: Path) -> None:
        content = {
            "ghn": self.ghn.state_dict(),
            "adam": self.adam.state_dict(),
            "generator": self.generator.get_state(),
            "progress": vars(self.progress),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        torch.save(content, unfinished)
        unfinished.replace(path)

    def _restore(self, path: Path) -> None:
        """Go on from `path`; a damaged file is passed over, because all of it can be made again."""
        try:
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
            progress = Progress(**content["progress"])
            self.ghn.load_state_dict(content["ghn"])
            self.adam.load_state_dict(content["adam"])
            self.generator.set_state(content["generator"])
        except Exception:  # torch raises many kinds
            return
        self.progress = progress
