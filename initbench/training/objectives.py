"""Objectives: what training makes smaller, and how good an output is.

Which one applies follows from the labels: whole numbers are classes, real numbers are to be
predicted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from initbench.data.device_data import DeviceData


class Objective(ABC):
    """A loss, and with it what the outputs of a network mean."""

    has_hits: ClassVar[bool]
    """Whether an output is right or wrong, so that there is an accuracy."""

    @abstractmethod
    def loss(
        self, outputs: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        """Return the mean loss of a batch: `outputs` (batch, outputs), `labels` (batch, ...)."""

    @abstractmethod
    def losses(
        self, outputs: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        """Return the loss of each example (..., batch).

        `outputs` are (..., batch, outputs) and `labels` those of each batch, in front of whose
        dimensions others may lie.
        """

    @abstractmethod
    def hits(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return which outputs (..., batch, outputs) are right; none where that has no meaning."""

    def guessing(self, labels: torch.Tensor, known: torch.Tensor) -> float | None:
        """Return the loss on `labels` of always predicting the mean of the `known` ones.

        None where classes say what guessing is.
        """
        return None


class Classification(Objective):
    """The cross entropy in nats; the largest logit says the class, unless one of them is NaN."""

    has_hits = True

    def loss(
        self, outputs: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        return F.cross_entropy(outputs, labels, label_smoothing=smoothing)

    def losses(
        self, outputs: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        labels = labels.expand(outputs.shape[:-1])
        flat = F.cross_entropy(
            outputs.flatten(0, -2), labels.flatten(), label_smoothing=smoothing, reduction="none"
        )
        return flat.view(labels.shape)

    def hits(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (outputs.argmax(-1) == labels) & ~outputs.isnan().any(-1)


class Regression(Objective):
    """The squared error, mean over the numbers that are predicted."""

    has_hits = False

    def loss(
        self, outputs: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        return F.mse_loss(outputs, labels)

    def losses(
        self, outputs: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        return (outputs - labels).square().mean(-1)

    def hits(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(outputs.shape[:-1], dtype=torch.bool, device=outputs.device)

    def guessing(self, labels: torch.Tensor, known: torch.Tensor) -> float:
        outputs = known.double().mean(0).expand_as(labels)
        return self.losses(outputs, labels).mean().item()


def objective_of(data: DeviceData) -> Objective:
    """Return the objective that the labels of a data set ask for."""
    return Regression() if data.train.labels.is_floating_point() else Classification()


def guessing_numbers(objective: Objective, data: DeviceData) -> dict[str, float]:
    """Return the losses of guessing, by which a regression is judged that has no outcome."""
    known = data.train.labels
    losses = {
        f"{split}_loss.guessing": objective.guessing(labels, known)
        for split, labels in (("train", known), ("test", data.test.labels))
    }
    return {name: loss for name, loss in losses.items() if loss is not None}
