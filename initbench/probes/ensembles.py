"""Ensembles: what members predict together, as sums that all their scores are made from.

Harder et al. (2023): 25 trained members an initialiser, 20 ensembles of 5, combined as the softmax
of the mean of their logits.

Deviations from the released code, each by an argument: it draws members with replacement, unseeded
and anew for each severity; here they are drawn without, from one recorded seed for all initialisers
and images, so that comparisons are paired (`replacement` draws with). The mean of probabilities
can take the place of that of logits. Further ensembles, which are not shown, make tests less
dependent on the draw: 20 ensembles share members, so they are no sample of 20.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from initbench.probes.member_sets import member_sets
from initbench.probes.probe import Checkpoint, Observation, Population, Probe, ProbeImages

Combine = Literal["logits", "probabilities"]


@dataclass(frozen=True)
class Ensembles(Probe):
    """Sums of all members and of all ensembles on test images, by named part and on the whole.

    The observation has `members.totals`, `members.bins`, and those of `ensembles` (`Sums`), `sets`
    (ensembles, size) and in its description the names of the `parts` (the first, the whole, has
    none), the `images` of each, the number of ensembles `shown`, and the `classes`.
    """

    name = "ensembles"
    scope = "cell"

    on: ProbeImages | None = None
    checkpoint: Checkpoint = "best"
    size: int = 5
    count: int = 20
    further: int = 180
    combine: Combine = "logits"
    replacement: bool = False

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
        from initbench.probes.predictions import (
            Predictions,
            with_mean_logits,
            with_mean_probabilities,
        )
        from initbench.probes.sums import Sums

        data = population.data
        members, images = len(population.subjects), len(data.test)
        drawn = member_sets(
            members, self.size, self.count + self.further, replacement=self.replacement
        )
        sets = torch.tensor(drawn, dtype=torch.int64, device=data.device).view(-1, self.size)
        alone = Sums(members, images, population.parts, data.device)
        together = Sums(len(sets), images, population.parts, data.device)
        with closing(logits_of(population, self.checkpoint)) as batches:
            for logits, labels in batches:
                predictions = Predictions.of(logits, labels)
                alone.add(predictions, labels)
                if self.combine == "logits":
                    together.add(with_mean_logits(logits, sets, labels), labels)
                else:
                    together.add(with_mean_probabilities(predictions, sets), labels)
        tensors = {
            "members.totals": alone.totals,
            "members.bins": alone.bins,
            "ensembles.totals": together.totals,
            "ensembles.bins": together.bins,
            "sets": sets,
        }
        description = {
            "parts": ["", *population.parts],
            "images": alone.images,
            "shown": min(self.count, len(sets)),
            "classes": data.classes,
        }
        return Observation(tensors, description)
