"""What a fit amounts to, layer by layer: do samples have the spread and the variety of slices?

| name | meaning |
| --- | --- |
| data std, sample std, ratio | of trained slices and of samples, over all elements |
| nearest | median distance of samples to the nearest trained slice, over that of held-out ones |
| energy | energy distance of samples to held-out slices, over twice their mean distance |

`nearest` is 1 where samples are as new as slices of a network nobody has seen, 0 where they are
copies, large where nothing like them was trained. `energy` is 0 for the same distribution and
grows to 1 (Székely & Rizzo 2013, normalised).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from initbench_slices.slices import LayerSlices

COLLAPSED = 0.2
"""Samples with less than this share of the data's standard deviation are a collapse."""

SAMPLES = 2048
_COMPARED, _NEIGHBOURS = 512, 20_000  # rows: distances between all of them are computed


def diagnose(slices: LayerSlices, samples: Tensor) -> dict[str, float | None]:
    """Compare samples (rows, k * k) with the slices they are to be like."""
    data_std, sample_std = float(slices.train.std()), float(samples.std())
    drawn = _some(samples, _COMPARED)
    held_out = _some(slices.held_out, _COMPARED)
    trained = _some(slices.train, _NEIGHBOURS)
    usual = _nearest(held_out, trained)
    return {
        "data_std": data_std,
        "sample_std": sample_std,
        "ratio": sample_std / data_std,
        "nearest": _nearest(drawn, trained) / usual if usual else None,
        "energy": energy_distance(drawn, held_out),
    }


def explained(data: Tensor, reconstructed: Tensor) -> float:
    """Return R2: the share of the variance of `data` (rows, columns) that is reconstructed."""
    total = (data - data.mean(0)).square().sum()
    return 1 - float((data - reconstructed).square().sum() / total)


def energy_distance(x: Tensor, y: Tensor) -> float:
    """Return E = (2 d(x, y) - d(x, x') - d(y, y')) / 2 d(x, y), d the mean distance of rows."""
    import torch

    across = float(torch.cdist(x, y).mean())
    within = sum(float(torch.pdist(z).mean()) for z in (x, y))
    return (2 * across - within) / (2 * across) if across else 0.0


def _nearest(rows: Tensor, others: Tensor) -> float:
    import torch

    distances = torch.cat([torch.cdist(part, others).amin(1) for part in rows.split(64)])
    return float(distances.median())


def _some(rows: Tensor, count: int) -> Tensor:
    """Return rows at equal intervals, at most `count`."""
    return rows[:: max(-(-len(rows) // count), 1)]
