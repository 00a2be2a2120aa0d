"""Scores of predictions as their definitions read: image by image, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

Probabilities = Sequence[Sequence[float]]


def softmax(logits: Sequence[float]) -> list[float]:
    powers = [math.exp(x - max(logits)) for x in logits]
    return [power / sum(powers) for power in powers]


def predicted(p: Sequence[float]) -> int:
    return max(range(len(p)), key=lambda c: p[c])


def accuracy(probabilities: Probabilities, labels: Sequence[int]) -> float:
    return fmean(predicted(p) == y for p, y in zip(probabilities, labels, strict=True))


def nll(probabilities: Probabilities, labels: Sequence[int]) -> float:
    return fmean(-math.log(p[y]) for p, y in zip(probabilities, labels, strict=True))


def brier(probabilities: Probabilities, labels: Sequence[int]) -> float:
    return fmean(
        sum((x - (c == y)) ** 2 for c, x in enumerate(p))
        for p, y in zip(probabilities, labels, strict=True)
    )


def ece(probabilities: Probabilities, labels: Sequence[int], *, true_label: bool = False) -> float:
    bins: dict[int, list[tuple[bool, float]]] = {}
    for p, y in zip(probabilities, labels, strict=True):
        confidence = p[y] if true_label else max(p)
        b = min(max(math.ceil(10 * confidence) - 1, 0), 9)
        bins.setdefault(b, []).append((predicted(p) == y, confidence))
    return sum(
        len(found)
        / len(labels)
        * abs(fmean(hit for hit, _ in found) - fmean(confidence for _, confidence in found))
        for found in bins.values()
    )
