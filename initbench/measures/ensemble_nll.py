"""Negative log-likelihood of ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.measures.ensemble import EnsembleConfig, EnsembleMeasure
from initbench.probes.scores import Summed, nll

if TYPE_CHECKING:
    import torch


class EnsembleNLL(EnsembleMeasure[EnsembleConfig]):
    """The negative log-likelihood of the label in nats, mean over images and then ensembles.

    With p_i the probabilities of an ensemble for image i (`initbench.probes.ensembles`):

        mean over i of -ln p_i[y_i]

    Not in Harder et al. (2023); a proper score beside the calibration error, which is none. An
    ensemble that cannot be scored has ln k, that of guessing among k classes.
    """

    name = "ensemble_nll"
    summary = "Negative log-likelihood of ensembles of trials, by default 20 of 5."
    unit = "nats"
    direction = "lower"

    def _scores(self, members: Summed, ensembles: Summed, sets: torch.Tensor) -> torch.Tensor:
        return nll(ensembles)
