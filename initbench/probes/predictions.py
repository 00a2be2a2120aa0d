"""Predictions: what members say of a batch, alone and together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Predictions:
    """What predictors, which are members or ensembles, say of a batch; float64."""

    probabilities: torch.Tensor  # (predictors, batch, classes)
    log_likelihood: torch.Tensor  # (predictors, batch): of the label, in nats

    @classmethod
    def of(cls, logits: torch.Tensor, labels: torch.Tensor) -> Predictions:
        """Return what logits (predictors, batch, classes) say."""
        log_p = logits.log_softmax(2)
        index = labels.expand(log_p.shape[:2])[..., None]
        return cls(log_p.exp(), log_p.gather(2, index).squeeze(2))


def with_mean_logits(logits: torch.Tensor, sets: torch.Tensor, labels: torch.Tensor) -> Predictions:
    """Return what ensembles say: the softmax of the mean of their members' logits.

    Args:
        logits: of the members, (members, batch, classes).
        sets: positions of members, (ensembles, size).
        labels: (batch,).
    """
    return Predictions.of(_mean(logits, sets), labels)


def with_mean_probabilities(members: Predictions, sets: torch.Tensor) -> Predictions:
    """Return what ensembles say: the mean of their members' probabilities."""
    # As logarithms, so that the mean of tiny likelihoods does not become 0.
    likelihoods = members.log_likelihood[sets]  # (ensembles, size, batch)
    log_mean = likelihoods.logsumexp(1) - math.log(sets.shape[1])
    return Predictions(_mean(members.probabilities, sets), log_mean)


def _mean(values: torch.Tensor, sets: torch.Tensor) -> torch.Tensor:
    """Return the mean of `values` (members, ...) over each set.

    Gathered, not multiplied by a matrix of shares: a member that is NaN then spoils its own
    ensembles only.
    """
    total = torch.zeros_like(values[sets[:, 0]])
    for column in sets.unbind(1):
        total += values[column]
    return total.div_(sets.shape[1])
