"""Performance profiles: the share of trials whose score is above each threshold.

Source: Agarwal et al. (2021), NeurIPS 34, section 4.2: F(τ) = 1/M Σ_m 1/N Σ_n 1[x_mn > τ], over M
blocks of N trials, with a bootstrap band at each τ. They show all of a distribution, not its mean,
and hold trials that missed a target or diverged, which never rise above any τ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from initbench.statistics.aggregate import Draws
from initbench.statistics.sample import Array

POINTS = 101


@dataclass(frozen=True)
class Profile:
    """Shares at each threshold; the band is None where there are too few seeds for one."""

    shares: Array
    low: Array | None
    high: Array | None


def thresholds(scores: Sequence[Array]) -> Array:
    """Return thresholds from the lowest to the highest finite score; empty where there is none."""
    finite = np.concatenate([x[np.isfinite(x)] for x in scores]) if scores else np.empty(0)
    return np.linspace(finite.min(), finite.max(), POINTS) if len(finite) else finite


def profile(scores: Sequence[Array], at: Array, drawn: Draws, confidence: float) -> Profile:
    """Return the share of trials above each threshold, blocks weighted alike.

    Args:
        scores: for each block those of its trials; the higher the better, -inf for a miss.
        at: the thresholds.
        drawn: the seeds of each resample, as in `aggregate`; none for no band.
        confidence: of the band, at each threshold by itself.
    """
    above = [(block > at[:, None]).astype(np.float64) for block in scores]  # (thresholds, trials)
    shares: Array = np.mean([a.mean(axis=1) for a in above], axis=0)
    if not drawn:
        return Profile(shares, None, None)
    resampled = np.mean(
        [_counts(chosen, a.shape[1]) @ a.T for a, chosen in zip(above, drawn, strict=True)], axis=0
    )  # (resamples, thresholds)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return Profile(shares, low, high)


def _counts(chosen: np.ndarray[tuple[int, ...], np.dtype[np.intp]], n: int) -> Array:
    """Return the weight of each of n trials in each resample."""
    return np.stack([(chosen == i).mean(axis=1) for i in range(n)], axis=1)
