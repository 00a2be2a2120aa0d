"""What a fit amounts to: are networks reconstructed, and are samples new, diverse and any good?

| column | of | meaning |
| --- | --- | --- |
| r2 train, r2 held out | layers | share of the variance that is reconstructed; test networks |
| accuracy | layers | of test networks in which this layer alone is the reconstructed one |
| accuracy | originals, whole network | of test networks, as they are and reconstructed |
| accuracy | mean network | of the mean of the training networks |
| accuracy | samplers | of samples of the best 30 %, before any training |
| latent distance | samplers | median distance to the nearest training latent, over that of test |
| weight distance | samplers | the same in weights |
| cosine | samplers | mean between two samples, both less the mean training network |
| variance | samplers | of weights about their mean, as the loss counts, over that of training |

A latent distance of 1 is as new as a network nobody has seen, 0 is a copy. A cosine of 1 is one
network again and again, and so is a variance of 0. Accuracies are on at most 1,000 validation
images of the zoo's data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from initbench_hyperrep.exam import Exam
from initbench_hyperrep.losses import Yardstick, explained
from initbench_hyperrep.network import Autoencoder
from initbench_hyperrep.picture import histograms
from initbench_hyperrep.population import Population

SAMPLES = 32
POOR = 0.5
"""An R2 below this is warned of."""
COPIED = 0.1
"""Samples whose latent distance is below this are copies."""
COPIES = ("kde_shared", "reconstruction")
"""Samplers that copy by construction."""

_EXAMINED = 8  # networks, or samples of one sampler, whose accuracy is measured
_COLUMNS = [
    "part",
    "r2_train",
    "r2_held_out",
    "accuracy",
    "latent_distance",
    "weight_distance",
    "cosine",
    "variance",
]


@dataclass(frozen=True)
class Judgement:
    """The diagnostics of a fit, as its artifact keeps them."""

    table: dict[str, Any]
    warnings: list[str]
    facts: dict[str, float]
    distances: dict[str, float | None]
    """Latent distance of each sampler."""
    examples: dict[str, Tensor]
    """The picture; the samples are those of the first sampler."""


@dataclass(frozen=True)
class Judge:
    """Compares what an autoencoder makes of training and test networks; all on the CPU."""

    autoencoder: Autoencoder
    yardstick: Yardstick
    train: Population
    test: Population
    latents: Tensor
    """Of the training networks, (rows, latent)."""
    exam: Exam

    @torch.no_grad()
    def judge(self, samples: Mapping[str, Callable[[int], Tensor]]) -> Judgement:
        """Judge the fit and each sampler, a function from a count to latents (count, latent)."""
        reconstructed = self._reconstructed(self.test.rows)
        rows = [*self._parts(reconstructed)]
        distances: dict[str, float | None] = {}
        decoded = []
        for name, draw in samples.items():
            latents = draw(SAMPLES)
            decoded.append(self.autoencoder.decoder(latents))
            row = self._sampled(name, latents, decoded[-1])
            distances[name] = row["latent_distance"]
            rows.append(row)
        return Judgement(
            {"columns": _COLUMNS, "rows": [[row.get(x) for x in _COLUMNS] for row in rows]},
            [*_poor(rows), *_copies(distances)],
            {
                "latent_variance": float(self.latents.var(0).mean()),
                "latent_norm": float(self.latents.norm(dim=1).mean()),
            },
            distances,
            histograms(self.yardstick.table, self.test.rows, reconstructed, decoded[0]),
        )

    def _parts(self, reconstructed: Tensor) -> Iterator[dict[str, Any]]:
        """Yield the originals, each layer, and the whole network."""
        test, mean = self.test.rows, self.train.rows.mean(0)
        trained = self._explained(self._reconstructed(self.train.rows), self.train.rows, mean)
        held_out = self._explained(reconstructed, test, mean)
        # The last checkpoint of each network: all checkpoints of one are much alike.
        last = _last_of_networks(self.test)[:_EXAMINED]
        original, other = test[last], reconstructed[last]
        yield {"part": "originals", "accuracy": self._accuracy(original)}
        table = self.yardstick.table
        for i, layer in enumerate(table.layers):
            replaced = original.clone()
            table.blocks(replaced)[i].copy_(table.blocks(other)[i])
            yield {
                "part": layer.weight,
                "r2_train": trained[i],
                "r2_held_out": held_out[i],
                "accuracy": self._accuracy(replaced),
            }
        yield {
            "part": "whole network",
            "r2_train": trained[-1],
            "r2_held_out": held_out[-1],
            "accuracy": self._accuracy(other),
        }
        yield {"part": "mean network", "accuracy": self._accuracy(mean[None])}

    def _sampled(self, name: str, latents: Tensor, rows: Tensor) -> dict[str, Any]:
        centred = torch.nn.functional.normalize(rows - self.train.rows.mean(0), dim=1)
        pairs = len(rows) * (len(rows) - 1)
        return {
            "part": f"samples: {name}",
            "accuracy": self._accuracy(rows[:_EXAMINED]),
            "latent_distance": _relative(latents, self.latents, self._encoded(self.test.rows)),
            "weight_distance": _relative(rows, self.train.rows, self.test.rows),
            "cosine": float(((centred @ centred.T).sum() - len(rows)) / pairs),
            "variance": self._variance(rows),
        }

    def _variance(self, rows: Tensor) -> float | None:
        usual = self.yardstick.spread(self.train.rows)
        return self.yardstick.spread(rows) / usual if usual else None

    def _explained(self, found: Tensor, true: Tensor, mean: Tensor) -> list[float | None]:
        shares = explained(self.yardstick, found, true, mean).tolist()
        return [None if math.isnan(x) else x for x in shares]  # NaN: a layer that never varies

    def _accuracy(self, rows: Tensor) -> float:
        return sum(self.exam.accuracy(row) for row in rows) / len(rows)

    def _encoded(self, rows: Tensor) -> Tensor:
        return torch.cat([self.autoencoder.encoder(part) for part in rows.split(100)])

    def _reconstructed(self, rows: Tensor) -> Tensor:
        """Return vectors (rows, size), encoded and decoded."""
        return torch.cat([self.autoencoder(part)[1] for part in rows.split(100)])


def _last_of_networks(population: Population) -> list[int]:
    """Return the position of the last checkpoint of each network."""
    return list({int(seed): i for i, seed in enumerate(population.networks)}.values())


def _relative(rows: Tensor, trained: Tensor, unseen: Tensor) -> float | None:
    """Return the median distance to the nearest trained row, over that of unseen rows."""
    found, usual = (_nearest(x, trained) for x in (rows, unseen))
    return found / usual if usual else None


def _nearest(rows: Tensor, others: Tensor) -> float:
    exact = "donot_use_mm_for_euclid_dist"  # a product would leave copies some distance
    return float(torch.cdist(rows, others, compute_mode=exact).amin(1).median())


def _poor(rows: list[dict[str, Any]]) -> Iterator[str]:
    known = {row["part"]: row.get("r2_held_out") for row in rows}
    poor = {part: r2 for part, r2 in known.items() if r2 is not None and r2 < POOR}
    if poor:
        listed = ", ".join(f"`{part}` ({r2:.2f})" for part, r2 in poor.items())
        yield (
            f"less than {POOR} of the variance of networks not learnt from is reconstructed in "
            f"{listed}: samples are not like networks of the zoo there"
        )


def _copies(distances: Mapping[str, float | None]) -> Iterator[str]:
    for name, distance in distances.items():
        if name not in COPIES and distance is not None and distance < COPIED:
            yield (
                f"samples of `{name}` are copies of training networks: their latents are "
                f"{distance:.2g} times as far from the nearest one as those of other networks"
            )
