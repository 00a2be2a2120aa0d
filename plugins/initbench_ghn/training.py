"""Training a graph hypernetwork on images (Harder et al. 2023, section 3.3; Knyazev et al. 2021).

Each step predicts the parameters of all architectures, or of some that are drawn (`meta_batch`),
runs them on the same images, and moves the hypernetwork by Adam. A Noise GHN predicts twice, with
two draws of noise:

    loss = mean cross entropy of all passes + w * cos(l1, l2)

l1 and l2 being the logits of the two draws: those of all images and architectures as one vector
(the code). The paper has, for each image and architecture, two cross entropies and one cosine;
their sum, divided by the number of passes, is `similarity: paper`. What is kept is the epoch with
the lowest validation cross entropy.

All architectures of a step, and both draws, go through the graph network and the decoder as one
batch; the networks themselves run one after another, because they are different ones.

A step whose loss or gradient is not finite is left out; an epoch that loses more than one in 50,
and more than 10, ends in an error. The state after each epoch can be kept in a file, from which the
next attempt goes on. That file is a checkpoint of the best epoch besides, as `checkpoint` reads it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from initbench.api import PluginError
from initbench_ghn.checkpoint import stated
from initbench_ghn.network import GHN
from initbench_ghn.pictures import Pictures
from initbench_ghn.traced import Networks, Traced

CLIP = 5.0
SHARE_OF_FAILURES = 50
LEAST_FAILURES = 10
NETWORKS_AT_HAND = 256


@dataclass(frozen=True)
class Lesson:
    """How long, how fast, and what noise is for."""

    epochs: int
    milestones: tuple[int, ...] = ()
    """Epochs after which the rate is divided by ten."""
    batch_size: int = 64
    rate: float = 1e-3
    weight_decay: float = 1e-5
    meta_batch: int | None = None
    """Architectures of each step; None: all."""
    similarity: Literal["code", "paper"] = "code"
    similarity_weight: float = 1.0
    amp: bool = False


@dataclass
class Progress:
    """What has come of a training so far."""

    epoch: int = 0
    losses: list[float] = field(default_factory=list)  # mean of each epoch
    validation: list[float] = field(default_factory=list)  # cross entropy after each epoch
    best: dict[str, Tensor] = field(default_factory=dict)
    failures: int = 0


class Trainer:
    """Trains `ghn` in place, on its device.

    The first `judges` of its networks are those that it is validated on (default: all).
    """

    def __init__(
        self,
        ghn: GHN,
        networks: Networks,
        lesson: Lesson,
        generator: torch.Generator,
        judges: int | None = None,
    ) -> None:
        self.ghn, self.networks, self.lesson = ghn, networks, lesson
        self.generator = generator
        self.judges = len(networks) if judges is None else judges
        self._traced = lru_cache(NETWORKS_AT_HAND)(
            lambda number, *image: Traced.of(networks[number], image)
        )
        self.adam = torch.optim.Adam(
            ghn.parameters(), lr=lesson.rate, weight_decay=lesson.weight_decay
        )
        self.draws = 1 if ghn.architecture.noise is None else 2
        self.progress = Progress()

    def train(self, train: Pictures, validation: Pictures, state: Path | None = None) -> Progress:
        """Train to the last epoch; go on where the file `state` ends, and keep it up to date.

        Raises PluginError if too many steps fail.
        """
        if state is not None and state.is_file():
            self._restore(state)
        while self.progress.epoch < self.lesson.epochs:
            self.progress.losses.append(self._epoch(train))
            self._judge(validation)
            self.progress.epoch += 1
            if state is not None:
                self._keep(state)
        return self.progress

    def loss(
        self, images: Tensor, labels: Tensor, group: Sequence[Traced], noise: Sequence[list[Tensor]]
    ) -> Tensor:
        """Return the loss of a batch; `noise` holds, for each draw, that of each architecture."""
        draws = self._logits(images, group, noise)
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

    def _logits(
        self, images: Tensor, group: Sequence[Traced], noise: Sequence[list[Tensor]]
    ) -> list[list[Tensor]]:
        """Return (images, classes) for each architecture, for each draw."""
        draws, graphs = max(len(noise), 1), [x.graph for x in group]
        states = self.ghn.embeddings(graphs) * draws
        flat = [x for draw in noise for x in draw]
        tiles = self.ghn.decode(graphs * draws, states, flat or None)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.lesson.amp):
            logits = [x(y, images) for x, y in zip(list(group) * draws, tiles, strict=True)]
        return [logits[first : first + len(group)] for first in range(0, len(logits), len(group))]

    def chosen(self, images: Tensor) -> list[Traced]:
        """Return the architectures of a step."""
        some, count = self.lesson.meta_batch, len(self.networks)
        if some is None or some >= count:
            return self.group(range(count), images)
        drawn = torch.randperm(count, generator=self.generator)[:some]
        return self.group(drawn.tolist(), images)

    def group(self, numbers: Sequence[int], images: Tensor) -> list[Traced]:
        """Return architectures by number, for images of this size."""
        return [self._traced(number, *images.shape[1:]) for number in numbers]

    def _noise(self, group: Sequence[Traced], draws: int) -> list[list[Tensor]]:
        found = []
        for _ in range(draws):
            drawn = [self.ghn.draw_noise(x.graph, self.generator) for x in group]
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
            loss = self.step(*train.batch(chosen, self.generator))
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

    def step(self, images: Tensor, labels: Tensor) -> float | None:
        """Take a step, and return its loss; None where it is not finite."""
        self.adam.zero_grad()
        group = self.chosen(images)
        loss = self.loss(images, labels, group, self._noise(group, self.draws))
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
            group = self.group(range(self.judges), images)
            (logits,) = self._logits(images, group, self._noise(group, 1))
            entropies = [functional.cross_entropy(x, labels) for x in logits]
            total += float(torch.stack(entropies).mean()) * len(chosen)
        self.generator.set_state(before)
        found = total / len(validation)
        if math.isfinite(found) and found <= min(self.progress.validation, default=math.inf):
            self.progress.best = {n: x.clone() for n, x in self.ghn.state_dict().items()}
        self.progress.validation.append(found if math.isfinite(found) else math.inf)

    def _keep(self, path: Path) -> None:
        content = {
            **stated(self.ghn.architecture),
            "state_dict": self.progress.best or self.ghn.state_dict(),
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
