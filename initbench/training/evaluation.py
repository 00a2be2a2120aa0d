"""Evaluation: how good a network is on a split."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from initbench.data.dataset import SplitName
from initbench.data.device_data import Batch, DeviceData
from initbench.training.objectives import objective_of

if TYPE_CHECKING:
    from initbench.training.ranks import Ranks

EVALUATION_PIXELS = 1_000_000
"""Height x width x images of one batch: 1,275 images of 28 x 28, 19 of 224 x 224."""


@dataclass(frozen=True)
class Scores:
    """What a network achieves on a split."""

    accuracy: float | None  # share of images whose largest logit is that of the label
    loss: float  # mean loss, without label smoothing; may be infinite or NaN

    @property
    def merit(self) -> float:
        """What the best checkpoint has most of: accuracy or, in a regression, the lowest loss."""
        if self.accuracy is not None:
            return self.accuracy
        return -math.inf if math.isnan(self.loss) else -self.loss


def evaluate(
    network: torch.nn.Module,
    data: DeviceData,
    split: SplitName,
    *,
    batch_statistics: bool = False,
    ranks: Ranks | None = None,
) -> Scores:
    """Return the scores of `network` on the whole split, in eval mode and float32.

    What is right and what the loss is, `objectives` say.

    With `batch_statistics`, batch norm uses the statistics of each batch (about EVALUATION_PIXELS
    large) in place of its running ones, as is usual for networks whose weights were predicted.
    Modes and running statistics are left as they were. With `ranks`, each rank has a network like
    this one, evaluates its share of the batches, and returns the scores on all of them.

    Logits that are NaN count as wrong. The loss is computed and summed in float64.
    """
    objective = objective_of(data)
    with (
        evaluating(network, batch_statistics),
        torch.no_grad(),
        closing(_batches(data, split, ranks)) as batches,
    ):
        correct = torch.zeros((), dtype=torch.int64, device=data.device)
        loss = torch.zeros((), dtype=torch.float64, device=data.device)
        for images, labels in batches:
            outputs = network(images)
            correct += objective.hits(outputs, labels).sum()
            loss += objective.losses(outputs.double(), labels).sum()
    if ranks is not None:
        correct, loss = ranks.total(correct), ranks.total(loss)
    images_seen = len(data.split(split))
    accuracy = correct.item() / images_seen if objective.has_hits else None
    return Scores(accuracy, loss.item() / images_seen)


def images_at_once(data: DeviceData, split: SplitName) -> int:
    """Return how many images of a split are evaluated in one batch at most."""
    height, width = data.split(split).images.shape[-2:]
    return max(EVALUATION_PIXELS // (height * width), 1)


def _batches(
    data: DeviceData, split: SplitName, ranks: Ranks | None
) -> Generator[Batch, None, None]:
    """Return the batches of a split that are evaluated here: all, or those of one rank."""
    size = images_at_once(data, split)
    if ranks is None:
        return data.batches(split, size)
    images = torch.arange(len(data.split(split)))
    batches = images.tensor_split(math.ceil(len(images) / size))[ranks.rank :: ranks.count]
    return data.batches_at(split, batches)


def has_batch_norm(network: torch.nn.Module) -> bool:
    """Say whether scores with batch statistics can differ from the ordinary ones."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


@contextmanager
def evaluating(network: torch.nn.Module, batch_statistics: bool) -> Iterator[None]:
    """Put `network` into eval mode, batch norm as `evaluate` says, and all back afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    norms = [(m, m.track_running_stats) for m in network.modules() if isinstance(m, _BatchNorm)]
    network.eval()
    if batch_statistics:
        for norm, _ in norms:
            norm.train()
            norm.track_running_stats = False  # so that this pass leaves no trace in them
    try:
        yield
    finally:
        for norm, tracks in norms:
            norm.track_running_stats = tracks
        for module, mode in modes:
            module.training = mode
