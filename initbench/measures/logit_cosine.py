"""How alike the logits of two trials of a cell are."""

from __future__ import annotations

from typing import Literal

from initbench.measures.similarity import SimilarityConfig, SimilarityMeasure


class LogitCosineConfig(SimilarityConfig):
    """Which images, which weights, and what is a vector."""

    form: Literal["flattened", "per_image"] = "flattened"
    """The logits of all images as one vector, or the mean over images of the cosine of each."""


class LogitCosine(SimilarityMeasure[LogitCosineConfig]):
    """The cosine between the logits of two networks, mean over pairs.

        C_ij = <Z_i, Z_j> / (|Z_i| |Z_j|)

    with Z_i the matrix of the logits of network i for all images, taken as one vector; with `form:
    per_image`, the mean over images of the cosine of their logits, 0 where all logits are 0.

    Source: Harder et al. (2023), figure 6, as released. Members of an ensemble are better when they
    are less alike, so less counts as better.
    """

    name = "logit_cosine"
    summary = "The cosine between the logits of two trials on the test images."
    unit = "cosine"
    direction = "lower"
    Config = LogitCosineConfig

    def _matrix(self) -> str:
        return self.config.form

    def _variant(self) -> list[str]:
        return ["per_image"] if self.config.form == "per_image" else []
