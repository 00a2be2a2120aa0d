"""Scores: numbers that sums over images become; a score has the same rule for what it is not.

Where a predictor has no finite likelihood on some image (no network, or logits that are not
numbers), it has the worst admissible value: that of guessing, and 1 as calibration error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Confidence = Literal["predicted", "true_label"]

BINS = 10
TOTALS = ("correct", "nll", "brier")
CONFIDENCES: tuple[Confidence, ...] = ("predicted", "true_label")
COLUMNS = ("images", "confidence", "correct")


@dataclass(frozen=True)
class Summed:
    """The sums of some predictors over some images."""

    totals: torch.Tensor  # (predictors, TOTALS), float64
    bins: torch.Tensor  # (predictors, CONFIDENCES, BINS, COLUMNS), float64
    images: int
    classes: int


Score = Callable[[Summed], "torch.Tensor"]
"""Returns one number for each predictor."""


def accuracy(summed: Summed) -> torch.Tensor:
    """Return the share of images whose most probable class is the label."""
    return _or_worst(summed.totals[:, 0] / summed.images, summed, 1 / summed.classes)


def nll(summed: Summed) -> torch.Tensor:
    """Return the mean negative log-likelihood of the label, in nats."""
    return _or_worst(summed.totals[:, 1] / summed.images, summed, math.log(summed.classes))


def brier(summed: Summed) -> torch.Tensor:
    """Return the sum over classes of squared differences to the one-hot label, mean over images."""
    return _or_worst(summed.totals[:, 2] / summed.images, summed, 1 - 1 / summed.classes)


def ece(summed: Summed, confidence: Confidence = "predicted") -> torch.Tensor:
    """Return the expected calibration error over ten bins of equal width on (0, 1].

        sum_b (n_b / n) |mean of [prediction = label] in b - mean confidence in b|

    Empty bins contribute nothing.
    """
    bins = summed.bins[:, CONFIDENCES.index(confidence)]
    gaps = (bins[..., 2] - bins[..., 1]).abs().sum(1)  # n_b times the difference of means
    return _or_worst(gaps / summed.images, summed, 1.0)


def _or_worst(values: torch.Tensor, summed: Summed, worst: float) -> torch.Tensor:
    return values.where(summed.totals[:, 1].isfinite(), worst)
