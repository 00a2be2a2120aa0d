"""Members: networks of one architecture that look at the same images, batch after batch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from functools import partial

import torch

from initbench.data.device_data import Batch
from initbench.probes.probe import Checkpoint, Population
from initbench.training.evaluation import images_at_once
from initbench.training.numerics import reproducible
from initbench.training.stack import Stack

_IMAGES_TO_TRY = 8
_TOLERANCE = 1e-3
"""Of the largest logit: far more than rounding, far less than a mistake."""

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Images (batch, channels, height, width) to logits (networks, batch, classes)."""


def logits_of(population: Population, checkpoint: Checkpoint) -> Generator[Batch, None, None]:
    """Yield the logits of all members on the test images in order, and the labels of these.

    Logits are float64, (members, batch, classes), computed in eval mode and float32; those of a
    member without a network are NaN. No more than one batch is in memory. Close the generator if it
    is left early.
    """
    data = population.data
    found = [subject.network(checkpoint) for subject in population.subjects]
    networks = [network for network in found if network is not None]
    there = torch.tensor([network is not None for network in found], device=data.device)
    size = images_at_once(data, "test")
    with (
        torch.no_grad(),
        reproducible(0, data.device),
        closing(data.batches("test", size)) as batches,
    ):
        predict: Predict | None = None
        for images, labels in batches:
            predict = predict or _predictor(networks, images)
            logits = images.new_full(
                (len(found), len(labels), data.classes), torch.nan, dtype=torch.float64
            )
            if networks:
                logits[there] = predict(images).double()
            yield logits, labels


def _predictor(networks: Sequence[torch.nn.Module], images: torch.Tensor) -> Predict:
    """Return what predicts with all networks: at once on a GPU where they allow it."""
    # Many small layers keep a GPU waiting; a CPU is never idle, and slower with grouped layers.
    stacked = None
    if images.device.type != "cpu" and len(networks) > 1:
        stacked = stack_of(networks, images[:_IMAGES_TO_TRY])
    return stacked or partial(one_by_one, networks)


def one_by_one(networks: Sequence[torch.nn.Module], images: torch.Tensor) -> torch.Tensor:
    """Return the logits (networks, batch, classes) of each network."""
    return torch.stack([network(images) for network in networks])


def stack_of(networks: Sequence[torch.nn.Module], images: torch.Tensor) -> Predict | None:
    """Return networks as a stack, if that says of `images` what they say alone."""
    expected = one_by_one(networks, images)
    # Whatever a network does that a stack cannot, it shows here: by raising, or by other logits.
    with suppress(Exception):
        stacked = _Stacked(networks, images.device)
        if (stacked(images) - expected).abs().max() <= _TOLERANCE * expected.abs().max():
            return stacked
    return None


class _Stacked:
    """A stack in eval mode; as many members look at once as memory allows."""

    def __init__(self, networks: Sequence[torch.nn.Module], device: torch.device) -> None:
        self._stack = Stack(networks, device)
        self._stack.network.eval()
        self._at_once = len(networks)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        while True:
            try:
                return self._stack.logits_for_all(images, self._at_once)
            except torch.OutOfMemoryError:
                if self._at_once == 1:
                    raise
                self._at_once //= 2
