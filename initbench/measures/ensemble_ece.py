"""Expected calibration error of ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.measures.ensemble import EnsembleConfig, EnsembleMeasure
from initbench.probes.scores import Confidence, Summed, ece

if TYPE_CHECKING:
    import torch


class EnsembleECEConfig(EnsembleConfig):
    """Which images, which ensembles, and what confidence is."""

    confidence: Confidence = "predicted"
    """The probability of the predicted class, or that of the true label."""


class EnsembleECE(EnsembleMeasure[EnsembleECEConfig]):
    """The expected calibration error over ten bins, mean over ensembles.

    With p_i the probabilities of an ensemble for image i (`initbench.probes.ensembles`), y'_i the
    class that it predicts and c_i = p_i[y'_i] its confidence, image i is in bin
    min(max(ceil(10 c_i) - 1, 0), 9), and

        sum over b of (n_b / n) |mean in b of [y'_i = y_i] - mean in b of c_i|

    Source: Harder et al. (2023), figures 5 and 9, as released. The formula printed in their
    supplement has the probability of the true label as confidence, which measures no calibration;
    `confidence: true_label` is that. An ensemble that cannot be scored has 1, the largest error.
    """

    name = "ensemble_ece"
    summary = "Expected calibration error of ensembles of trials, by default 20 of 5."
    unit = "fraction"
    direction = "lower"
    Config = EnsembleECEConfig

    def _scores(self, members: Summed, ensembles: Summed, sets: torch.Tensor) -> torch.Tensor:
        return ece(ensembles, self.config.confidence)

    def _variant(self) -> list[str]:
        return ["true_label"] if self.config.confidence == "true_label" else []
