"""Scores from sums over images are those of their definitions, however the images came."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from initbench.probes.predictions import Predictions, with_mean_logits, with_mean_probabilities
from initbench.probes.scores import Summed, accuracy, brier, ece, nll
from initbench.probes.sums import Sums
from tests.probes import obvious

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(Path(__file__).parent / "ensemble_metrics.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(np.atleast_1d(file[name])) for name in file}


def summed(
    predictions: Predictions,
    labels: torch.Tensor,
    parts: dict[str, slice] | None = None,
    batch: int = 1000,
) -> list[Summed]:
    """The sums over the whole and over each part, from batches of so many images."""
    count, classes = len(labels), predictions.probabilities.shape[2]
    sums = Sums(len(predictions.probabilities), count, parts or {}, CPU)
    for start in range(0, count, batch):
        here = slice(start, start + batch)
        part = Predictions(predictions.probabilities[:, here], predictions.log_likelihood[:, here])
        sums.add(part, labels[here])
    return [
        Summed(totals, bins, images, classes)
        for totals, bins, images in zip(sums.totals, sums.bins, sums.images, strict=True)
    ]


def close(found: torch.Tensor, expected: Any, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(
        found, torch.as_tensor(expected, dtype=torch.float64), rtol=0, atol=tolerance
    )


def test_calibration_of_members_is_that_of_the_published_code(golden: dict[str, Any]) -> None:
    (whole,) = summed(Predictions.of(golden["logits"], golden["labels"]), golden["labels"])
    close(ece(whole), golden["ece_member"])
    close(ece(whole, "true_label"), golden["literal_true_label_ece"])


def test_ensembles_by_logits_and_by_probabilities_are_those_of_the_published_code(
    golden: dict[str, Any],
) -> None:
    logits, labels = golden["logits"], golden["labels"]
    everyone = torch.tensor([[0, 1, 2]])
    (whole,) = summed(with_mean_logits(logits, everyone, labels), labels)
    close(ece(whole), golden["ece_ensemble_mean_logits"])
    close(accuracy(whole), golden["acc_mean_logits"])
    members = Predictions.of(logits, labels)
    (whole,) = summed(with_mean_probabilities(members, everyone), labels)
    close(ece(whole), golden["ece_ensemble_mean_probs"])
    close(accuracy(whole), golden["acc_mean_probs"])


@settings(derandomize=True, max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    images=st.integers(1, 40),
    classes=st.integers(2, 5),
    batch=st.integers(1, 41),
    start=st.integers(0, 39),
    length=st.integers(1, 40),
)
def test_scores_are_those_of_their_definitions_on_the_whole_and_on_parts(
    seed: int, images: int, classes: int, batch: int, start: int, length: int
) -> None:
    draws = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, images, classes, generator=draws, dtype=torch.float64)
    labels = torch.randint(classes, (images,), generator=draws)
    start = min(start, images - 1)
    parts = {"all": slice(images), "some": slice(start, min(start + length, images))}
    found = summed(Predictions.of(logits, labels), labels, parts, batch)
    for part, sums in zip([slice(images), *parts.values()], found, strict=True):
        y = labels[part].tolist()
        probabilities = [[obvious.softmax(z) for z in member[part].tolist()] for member in logits]
        close(accuracy(sums), [obvious.accuracy(p, y) for p in probabilities])
        close(nll(sums), [obvious.nll(p, y) for p in probabilities])
        close(brier(sums), [obvious.brier(p, y) for p in probabilities])
        close(ece(sums), [obvious.ece(p, y) for p in probabilities])
        close(ece(sums, "true_label"), [obvious.ece(p, y, true_label=True) for p in probabilities])


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [(0.5, 4), (0.5000001, 5), (0.7, 6), (1.0, 9), (1 + 2e-16, 9), (0.95, 9)],
)
def test_a_confidence_at_an_edge_is_in_the_bin_below(confidence: float, expected: int) -> None:
    p = torch.tensor([[[confidence, 1 - confidence]]], dtype=torch.float64)
    sums = Sums(1, 1, {}, CPU)
    sums.add(Predictions(p, p[:, :, 0].log()), torch.tensor([0]))
    counts = sums.bins[0, 0, 0, :, 0]
    assert counts.nonzero().item() == expected


def test_a_true_label_without_probability_is_in_the_first_bin() -> None:
    p = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    sums = Sums(1, 1, {}, CPU)
    sums.add(Predictions(p, torch.tensor([[-800.0]], dtype=torch.float64)), torch.tensor([1]))
    assert sums.bins[0, 0, 1, 0, 0] == 1


Combine = Callable[[torch.Tensor], Predictions]
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
SETS = torch.tensor([[0, 1], [1, 2], [0, 2]])


@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
@pytest.mark.parametrize(
    ("combine", "without_value"),
    [
        (lambda z: Predictions.of(z, LABELS), [1]),
        (lambda z: with_mean_logits(z, SETS, LABELS), [0, 1]),
        (lambda z: with_mean_probabilities(Predictions.of(z, LABELS), SETS), [0, 1]),
    ],
)
def test_what_cannot_be_scored_has_the_worst_values_and_spoils_no_other(
    combine: Combine, without_value: list[int], spoilt: float
) -> None:
    draws = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 6, 4, generator=draws, dtype=torch.float64)
    (sound,) = summed(combine(logits), LABELS)
    logits[1, 3, 2] = spoilt
    (found,) = summed(combine(logits), LABELS)
    for score, worst in ((accuracy, 0.25), (nll, math.log(4)), (brier, 0.75), (ece, 1.0)):
        expected = score(sound)
        expected[without_value] = worst
        assert torch.equal(score(found), expected)


def test_probabilities_are_averaged_where_a_likelihood_is_too_small_for_a_number() -> None:
    logits = torch.tensor([[[0.0, 900.0]], [[0.0, 1200.0]]], dtype=torch.float64)
    labels = torch.tensor([0])
    members = Predictions.of(logits, labels)
    ensemble = with_mean_probabilities(members, torch.tensor([[0, 1]]))
    assert members.probabilities[0, 0, 0] == 0
    assert ensemble.log_likelihood.item() == pytest.approx(-900 - math.log(2))
