"""Accuracy of ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.measures.ensemble import EnsembleConfig, EnsembleMeasure
from initbench.probes.scores import Summed, accuracy

if TYPE_CHECKING:
    import torch


class EnsembleAccuracy(EnsembleMeasure[EnsembleConfig]):
    """The share of images whose most probable class is the label, mean over ensembles.

    With p_i the probabilities of an ensemble for image i (`initbench.probes.ensembles`):

        mean over i of [argmax p_i = y_i]

    Source: Harder et al. (2023), figures 7 and 9. An ensemble that cannot be scored is at chance.
    """

    name = "ensemble_accuracy"
    summary = "Accuracy of ensembles of trials, by default 20 of 5."
    unit = "fraction"
    direction = "higher"

    def _scores(self, members: Summed, ensembles: Summed, sets: torch.Tensor) -> torch.Tensor:
        return accuracy(ensembles)
