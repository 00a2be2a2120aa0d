"""Similarity: how alike the members of a cell predict, pair by pair.

Harder et al. (2023), figure 6: the share of test images with equal predictions, and the cosine
between the logits of all test images as one vector. The mean of the cosines of single images, which
the released code does not use, is beside it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initbench.probes.probe import Checkpoint, Observation, Population, Probe, ProbeImages

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Similarity(Probe):
    """Three symmetric matrices (members, members): `agreement`, `flattened`, `per_image`.

    Entries of a member without a network, or whose logits are not all finite, are NaN.
    """

    name = "similarity"
    scope = "cell"

    on: ProbeImages | None = None
    checkpoint: Checkpoint = "best"

    def images(self) -> ProbeImages | None:
        """Return the data set whose test images are looked at."""
        return self.on

    def tree(self) -> dict[str, Any]:
        """Return the part of a key that stands for this probe; images have a part of their own."""
        tree = super().tree()
        del tree["settings"]["on"]
        return tree

    def observe(self, population: Population) -> Observation:
        """Look at each test image once; memory does not grow with their number."""
        import torch

        from initbench.probes.members import logits_of

        data = population.data
        members, images = len(population.subjects), len(data.test)
        zeros = torch.zeros(members, members, dtype=torch.float64, device=data.device)
        equal, products, cosines = zeros, zeros, zeros
        with closing(logits_of(population, self.checkpoint)) as batches:
            for logits, _ in batches:
                predicted = torch.nn.functional.one_hot(logits.argmax(2), data.classes).double()
                finite = logits.isfinite().all(2, keepdim=True)
                equal = equal + _inner(predicted.where(finite, torch.nan))
                products = products + _inner(logits)
                cosines = cosines + _inner(torch.nn.functional.normalize(logits, dim=2))
        lengths = products.diagonal().sqrt()
        return Observation(
            {
                "agreement": equal / images,
                "flattened": products / torch.outer(lengths, lengths),
                "per_image": cosines / images,
            }
        )


def _inner(values: torch.Tensor) -> torch.Tensor:
    """Return the inner products of members (members, ...) with each other.

    One that is not finite spoils its own row and column only.
    """
    vectors = values.flatten(1)
    return vectors @ vectors.T
