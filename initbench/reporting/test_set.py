"""What the finite test set leaves open of a difference in accuracy (rule 30)."""

from __future__ import annotations

from typing import Any

from initbench.probes.correct_images import unpacked
from initbench.probes.probe import Observation
from initbench.statistics.test_set import on_images


def on_test_images(
    seen: Observation | None, of_reference: Observation | None, confidence: float
) -> dict[str, Any] | None:
    """Return the comparison over test images as plain numbers; None before both were looked at."""
    if seen is None or of_reference is None:
        return None
    correct, reference = unpacked(seen).numpy(), unpacked(of_reference).numpy()
    found = on_images(correct, reference, confidence)
    if found is None:
        return None
    return {
        "images": found.images,
        "networks": len(correct),
        "networks_of_reference": len(reference),
        "difference": found.difference,
        "low": found.interval.low if found.interval else None,
        "high": found.interval.high if found.interval else None,
        "mcnemar_p": found.mcnemar_p,
    }
