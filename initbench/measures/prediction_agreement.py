"""How often two trials of a cell predict the same class."""

from __future__ import annotations

from initbench.measures.similarity import SimilarityConfig, SimilarityMeasure


class PredictionAgreement(SimilarityMeasure[SimilarityConfig]):
    """The share of images for which two networks predict the same class, mean over pairs.

        A_ij = mean over images of [argmax z_i = argmax z_j]

    Source: Harder et al. (2023), figure 6. Members of an ensemble are better when they agree less,
    so less counts as better.
    """

    name = "prediction_agreement"
    summary = "The share of test images for which two trials predict the same class."
    unit = "fraction"
    direction = "lower"

    def _matrix(self) -> str:
        return "agreement"
