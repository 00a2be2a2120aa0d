"""What measures of similarity share: settings, label, and the value of a cell from its pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Literal, TypeVar

from initbench.measures.images import On, images_label, probe_images
from initbench.measures.measure import PopulationMeasure, PopulationValue
from initbench.measures.population import population_value
from initbench.plugin.initialiser import Config
from initbench.probes.similarity import Similarity

if TYPE_CHECKING:
    from initbench.probes.probe import Observation
    from initbench.store.record import Record


class SimilarityConfig(Config):
    """Which images, and which weights."""

    on: On = None
    """A data set by name, or a mapping with `name` and its configuration; none: the test images of
    the data set that networks were trained on."""
    checkpoint: Literal["best", "last"] = "best"


SimilarityConfigT = TypeVar("SimilarityConfigT", bound=SimilarityConfig)


class SimilarityMeasure(PopulationMeasure[SimilarityConfigT]):
    """The mean of a matrix of pairs over its strict upper triangle.

    Pairs with a trial that has no network, or whose logits are not all finite, are left out: there
    is no worst similarity. Such a trial has no pseudo-value.
    """

    Config = SimilarityConfig

    def probe(self) -> Similarity:
        return Similarity(on=probe_images(self.config.on), checkpoint=self.config.checkpoint)

    def label(self) -> str:
        last = "checkpoint=last" if self.config.checkpoint == "last" else ""
        parts = [self.name, *self._variant(), images_label(self.config.on), last]
        return ".".join(part for part in parts if part)

    def of_cell(
        self, observation: Observation, records: Mapping[int, Record]
    ) -> PopulationValue | None:
        matrix = observation.tensors[self._matrix()]
        there = matrix.diagonal().isfinite()
        seeds = [s for s, is_there in zip(sorted(records), there.tolist(), strict=True) if is_there]
        pairs = list(combinations(range(len(seeds)), 2))
        if not pairs:
            return None
        rows = matrix[there][:, there].tolist()
        return population_value([rows[i][j] for i, j in pairs], pairs, seeds)

    @abstractmethod
    def _matrix(self) -> str:
        """Return which matrix of the observation this is."""

    def _variant(self) -> list[str]:
        """Return what a label says of settings that only this measure has."""
        return []
