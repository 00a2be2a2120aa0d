"""The noise of a finite test set: what other test images would change for these very networks.

Training seeds and test images are two sources of noise. Tests and intervals over seeds hold for
the test images that there are; what is here holds for the networks that there are (rule 30). The
two are never added: neither says anything about the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initbench.statistics.interval import Interval, mean_interval


@dataclass(frozen=True)
class OnImages:
    """The difference in mean accuracy of two groups of networks, and what the images leave open."""

    images: int
    difference: float
    interval: Interval | None
    mcnemar_p: float | None = None  # of one network against one


def on_images(
    correct: NDArray[np.bool_], reference: NDArray[np.bool_], confidence: float = 0.95
) -> OnImages | None:
    """Compare two groups of networks on the same test images; None without networks or images.

    Image j makes the difference d_j = share of networks that classify it correctly, here minus
    there. Images are drawn, networks are not, so the mean of d_j has the t interval of a mean over
    images, whose number makes it that of a normal distribution.

    Args:
        correct: (networks, images).
        reference: the same of the reference, with as many networks as it has.
        confidence: of the interval.
    """
    if not correct.size or not reference.size:
        return None
    by_image = correct.mean(axis=0) - reference.mean(axis=0)
    return OnImages(
        images=len(by_image),
        difference=float(by_image.mean()),
        interval=mean_interval(by_image, confidence),
        mcnemar_p=mcnemar(correct[0], reference[0])
        if len(correct) == len(reference) == 1
        else None,
    )


def mcnemar(correct: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Return the exact p of McNemar's test that two networks classify equally well.

    Of the images that only one of the two classifies correctly, each has it for either with
    probability one half. Source: McNemar (1947), Psychometrika 12; the exact form is a sign test.
    """
    from scipy import stats

    here, there = int((correct & ~reference).sum()), int((reference & ~correct).sum())
    return float(stats.binomtest(here, here + there).pvalue) if here + there else 1.0
