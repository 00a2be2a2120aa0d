"""Brier score of ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.measures.ensemble import EnsembleConfig, EnsembleMeasure
from initbench.probes.scores import Summed, brier

if TYPE_CHECKING:
    import torch


class EnsembleBrier(EnsembleMeasure[EnsembleConfig]):
    """The Brier score over all classes, mean over images and then ensembles.

    With p_i the probabilities of an ensemble for image i (`initbench.probes.ensembles`):

        mean over i of sum over c of (p_i[c] - [c = y_i])^2

    Source: Brier (1950), Monthly Weather Review 78, in its first form, between 0 and 2. An ensemble
    that cannot be scored has 1 - 1/k, that of guessing among k classes.
    """

    name = "ensemble_brier"
    summary = "Brier score of ensembles of trials, by default 20 of 5."
    unit = "score"
    direction = "lower"

    def _scores(self, members: Summed, ensembles: Summed, sets: torch.Tensor) -> torch.Tensor:
        return brier(ensembles)
