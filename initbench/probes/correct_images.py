"""Correct images: which test images each member of a cell classifies correctly.

The noise of a finite test set is in these bits: seeds vary from trial to trial, the test images are
the same for all. A bit an image, eight in a byte: 25 members and 10,000 images are 31 kB.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initbench.probes.probe import Checkpoint, Observation, Population, Probe

if TYPE_CHECKING:
    import torch

_WEIGHTS = (128, 64, 32, 16, 8, 4, 2, 1)


@dataclass(frozen=True)
class CorrectImages(Probe):
    """Bits: `correct` (members, bytes), eight images a byte, the first in its highest bit.

    `there` (members,) is False for a member without a network, or with a logit that is not finite;
    its bits mean nothing. The description has the number of `images`.
    """

    name = "correct_images"
    scope = "cell"

    checkpoint: Checkpoint = "best"

    def observe(self, population: Population) -> Observation:
        """Look at each test image once; a batch at a time is more than a bit an image."""
        import torch

        from initbench.probes.members import logits_of

        data = population.data
        members, images = len(population.subjects), len(data.test)
        correct = torch.zeros(members, images, dtype=torch.bool)
        there = torch.ones(members, dtype=torch.bool)
        seen = 0
        with closing(logits_of(population, self.checkpoint)) as batches:
            for logits, labels in batches:
                there &= logits.isfinite().all(2).all(1).cpu()
                correct[:, seen : seen + len(labels)] = (logits.argmax(2) == labels).cpu()
                seen += len(labels)
        return Observation({"correct": packed(correct), "there": there}, {"images": images})


def packed(bits: torch.Tensor) -> torch.Tensor:
    """Return bits (members, images) as bytes (members, images / 8, rounded up)."""
    import torch

    padded = torch.nn.functional.pad(bits.to(torch.uint8), (0, -bits.shape[1] % 8))
    weights = torch.tensor(_WEIGHTS, dtype=torch.uint8)
    return (padded.view(len(bits), -1, 8) * weights).sum(2, dtype=torch.uint8)


def unpacked(observation: Observation) -> torch.Tensor:
    """Return the bits (members that are there, images) of an observation of this probe."""
    import torch

    correct = observation.tensors["correct"][observation.tensors["there"]]
    bits = correct[:, :, None] & torch.tensor(_WEIGHTS, dtype=torch.uint8)
    return bits.ne(0).flatten(1)[:, : observation.description["images"]]
