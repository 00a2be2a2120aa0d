"""Measures of similarity: the mean over pairs, and what trials without a network do to it."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
import torch

from initbench.measures.similarity import SimilarityMeasure
from initbench.plugin.registry import Registry
from initbench.probes.probe import Observation
from tests.factories import record

RECORDS = {seed: record(seed=seed) for seed in (2, 4, 7, 9)}
MATRIX = torch.tensor(
    [[1.0, 0.1, 0.2, 0.6], [0.1, 1.0, 0.4, 0.5], [0.2, 0.4, 1.0, 0.9], [0.6, 0.5, 0.9, 1.0]],
    dtype=torch.float64,
)


def measure(name: str, **config: Any) -> SimilarityMeasure[Any]:
    found = Registry.installed().measure(name, config).thing
    assert isinstance(found, SimilarityMeasure)
    return found


def seen(*without: int) -> Observation:
    matrix = MATRIX.clone()
    for member in without:
        matrix[member] = matrix[:, member] = torch.nan
    return Observation({"agreement": matrix, "flattened": matrix / 2, "per_image": matrix / 4})


@pytest.mark.parametrize(
    ("name", "config", "factor", "label"),
    [
        ("prediction_agreement", {}, 1, "prediction_agreement"),
        ("logit_cosine", {"checkpoint": "last"}, 1 / 2, "logit_cosine.checkpoint=last"),
        (
            "logit_cosine",
            {"form": "per_image", "on": "svhn"},
            1 / 4,
            "logit_cosine.per_image.svhn",
        ),
    ],
)
def test_the_value_is_the_mean_over_pairs(
    name: str, config: dict[str, Any], factor: float, label: str
) -> None:
    similarity = measure(name, **config)
    found = similarity.of_cell(seen(), RECORDS)
    assert found is not None
    assert found.parts == pytest.approx([factor * x for x in (0.1, 0.2, 0.6, 0.4, 0.5, 0.9)])
    assert found.value == pytest.approx(factor * 0.45)
    assert list(found.pseudo_values) == [2, 4, 7, 9]
    assert fmean(found.pseudo_values.values()) == pytest.approx(found.value)
    assert similarity.label() == label


def test_a_trial_without_network_is_in_no_pair() -> None:
    found = measure("prediction_agreement").of_cell(seen(1), RECORDS)
    assert found is not None
    assert found.parts == pytest.approx([0.2, 0.6, 0.9])
    assert list(found.pseudo_values) == [2, 7, 9]


def test_one_pair_has_a_value_and_one_trial_has_none() -> None:
    found = measure("prediction_agreement").of_cell(seen(1, 3), RECORDS)
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert found.pseudo_values == {}
    assert measure("prediction_agreement").of_cell(seen(0, 1, 2), RECORDS) is None
