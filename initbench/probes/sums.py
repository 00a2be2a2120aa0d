"""Sums over images: all that accuracy, calibration error, NLL and Brier score are made from.

A predictor is a network or an ensemble. Everything is float64, and as large for a million images as
for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import torch

from initbench.probes.predictions import Predictions
from initbench.probes.scores import BINS, COLUMNS, CONFIDENCES, TOTALS


class Sums:
    """The sums of all predictors over a split, which is seen in order, and over parts of it."""

    def __init__(
        self, predictors: int, images: int, parts: Mapping[str, slice], device: torch.device
    ) -> None:
        """Prepare for a split of so many images, of which `parts` are slices."""
        self._bounds = [(0, images), *(part.indices(images)[:2] for part in parts.values())]
        self._edges = {edge for bounds in self._bounds for edge in bounds}
        self._seen = 0
        shape = (len(self._bounds), predictors)
        zeros = torch.zeros(*shape, dtype=torch.float64, device=device)
        self.totals = zeros[..., None].repeat(1, 1, len(TOTALS))
        """(parts, predictors, TOTALS); the first part is the whole split."""
        self.bins = zeros[..., None, None, None].repeat(1, 1, len(CONFIDENCES), BINS, len(COLUMNS))
        """(parts, predictors, CONFIDENCES, BINS, COLUMNS)."""

    @property
    def images(self) -> list[int]:
        """The number of images of each part."""
        return [stop - start for start, stop in self._bounds]

    def add(self, predictions: Predictions, labels: torch.Tensor) -> None:
        """Add what the predictors say of the next images, whose labels are (batch,)."""
        first = self._seen
        self._seen += len(labels)
        for start, stop in self._between_edges(first, self._seen):
            here = slice(start - first, stop - first)
            totals, bins = _summed(
                predictions.probabilities[:, here],
                predictions.log_likelihood[:, here],
                labels[here],
            )
            for row, (low, high) in enumerate(self._bounds):
                if low <= start and stop <= high:
                    self.totals[row] += totals
                    self.bins[row] += bins

    def _between_edges(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield stretches of images that belong to the same parts, so each is summed once."""
        return pairwise(sorted({first, end, *(e for e in self._edges if first < e < end)}))


def _summed(
    probabilities: torch.Tensor, log_likelihood: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the totals (predictors, 3) and bins (predictors, 2, 10, 3) of some images."""
    confidence, predicted = probabilities.max(2)
    correct = (predicted == labels).double()
    of_label = probabilities.gather(2, labels.expand_as(correct)[..., None]).squeeze(2)
    # The squared distance to the one-hot label, without making that.
    brier = probabilities.square().sum(2) - 2 * of_label + 1
    totals = torch.stack([correct.sum(1), -log_likelihood.sum(1), brier.sum(1)], dim=1)
    bins = torch.stack([_binned(c, correct) for c in (confidence, of_label)], dim=1)
    return totals, bins


def _binned(confidence: torch.Tensor, correct: torch.Tensor) -> torch.Tensor:
    """Return the sums (predictors, 10, 3) of COLUMNS in ten bins of equal width on (0, 1]."""
    index = (BINS * confidence.nan_to_num()).ceil().long().sub(1).clamp(0, BINS - 1)
    columns = (torch.ones_like(correct), confidence, correct)
    sums = [correct.new_zeros(len(correct), BINS).scatter_add(1, index, x) for x in columns]
    return torch.stack(sums, dim=2)
