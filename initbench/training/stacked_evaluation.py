"""Stacked evaluation: how good each member of a stack is on a split."""

from __future__ import annotations

from contextlib import closing

import torch

from initbench.data.dataset import SplitName
from initbench.data.device_data import DeviceData
from initbench.training.evaluation import Scores, evaluating, images_at_once
from initbench.training.objectives import objective_of
from initbench.training.stack import Stack

_STEP_TO_PASS = 4
"""A training step keeps every layer's activations, a pass alone those of two layers at a time: so
it can look at this many times as many images with the same memory, and more."""


def evaluate_stack(
    stack: Stack,
    data: DeviceData,
    split: SplitName,
    *,
    batch_size: int,
    batch_statistics: bool = False,
) -> list[Scores]:
    """Return for each member what `evaluate` returns for a network, to rounding.

    Batches are those of `evaluate`; as many members see one at once as fit in the memory of a
    training step with `batch_size` images for each member.
    """
    members, device = len(stack), data.device
    objective = objective_of(data)
    size = images_at_once(data, split)
    with (
        evaluating(stack.network, batch_statistics),
        torch.no_grad(),
        closing(data.batches(split, size)) as batches,
    ):
        correct = torch.zeros(members, dtype=torch.int64, device=device)
        loss = torch.zeros(members, dtype=torch.float64, device=device)
        for images, labels in batches:
            at_once = max(1, _STEP_TO_PASS * members * batch_size // len(images))
            outputs = stack.logits_for_all(images, at_once)  # (members, batch, classes)
            correct += objective.hits(outputs, labels).sum(1)
            loss += objective.losses(outputs.double(), labels).sum(1)
        sums = torch.stack([correct.double(), loss]).tolist()  # one transfer
    images_seen = len(data.split(split))
    return [
        Scores(right / images_seen if objective.has_hits else None, total / images_seen)
        for right, total in zip(*sums, strict=True)
    ]
