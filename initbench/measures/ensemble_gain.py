"""What ensembles gain over their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from initbench.measures.ensemble import EnsembleConfig, EnsembleMeasure
from initbench.probes.scores import Score, Summed, accuracy, brier, ece, nll

if TYPE_CHECKING:
    import torch

_SCORES: dict[str, tuple[Score, str, int]] = {
    "accuracy": (accuracy, "fraction", 1),
    "ece": (ece, "fraction", -1),
    "nll": (nll, "nats", -1),
    "brier": (brier, "score", -1),
}
"""By name: the score, its unit, and 1 where more is better."""


class EnsembleGainConfig(EnsembleConfig):
    """Which images, which ensembles, and by what score."""

    score: Literal["accuracy", "ece", "nll", "brier"] = "accuracy"


class EnsembleGain(EnsembleMeasure[EnsembleGainConfig]):
    """By how much an ensemble is better than its members are on average, mean over ensembles.

        sign (score of the ensemble - mean over its members of their own scores)

    with the sign that makes better positive. A member that was drawn twice counts twice. Where an
    ensemble cannot be scored, the worst values of it and of its member enter.
    """

    name = "ensemble_gain"
    summary = "How much better ensembles of trials are than their mean member, by one of 4 scores."
    unit = "fraction"
    direction = "higher"
    Config = EnsembleGainConfig

    def __init__(self, config: EnsembleGainConfig) -> None:
        super().__init__(config)
        self._score, self.unit, self._sign = _SCORES[config.score]

    def _scores(self, members: Summed, ensembles: Summed, sets: torch.Tensor) -> torch.Tensor:
        mean_member = self._score(members)[sets].mean(1)
        return self._sign * (self._score(ensembles) - mean_member)

    def _variant(self) -> list[str]:
        return [self.config.score]
