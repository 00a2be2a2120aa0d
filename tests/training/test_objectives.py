"""What training makes smaller, beside loops over examples."""

from __future__ import annotations

import math

import pytest
import torch

from initbench.training.objectives import Classification, Regression

OUTPUTS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0], [math.nan, 9.0, 0.0]])


def _cross_entropy(outputs: list[float], label: int) -> float:
    return math.log(sum(math.exp(x) for x in outputs)) - outputs[label]


def test_classification_is_the_cross_entropy_of_each_example() -> None:
    labels = torch.tensor([0, 2])
    losses = Classification().losses(OUTPUTS[:2].double(), labels)
    expected = [_cross_entropy(x, y) for x, y in zip(OUTPUTS[:2].tolist(), [0, 2], strict=True)]
    assert losses.tolist() == pytest.approx(expected)
    loss = Classification().loss(OUTPUTS[:2], labels)
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_an_output_that_is_no_number_is_no_hit() -> None:
    assert Classification().hits(OUTPUTS, torch.tensor([0, 1, 1])).tolist() == [True, True, False]


def test_members_in_front_are_looked_at_one_by_one() -> None:
    draws = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 5, 3, generator=draws)
    own = torch.randint(0, 3, (4, 5), generator=draws)
    for labels in (own, own[0]):
        losses = Classification().losses(outputs, labels, 0.1)
        for i, row in enumerate(losses):
            these = labels if labels.ndim == 1 else labels[i]
            assert torch.allclose(row, Classification().losses(outputs[i], these, 0.1))


def test_regression_is_the_squared_error_of_each_example() -> None:
    outputs, labels = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [3.0, 0.0]])
    assert Regression().losses(outputs, labels).tolist() == [(1 + 4) / 2, 9 / 2]
    assert Regression().loss(outputs, labels).item() == (2.5 + 4.5) / 2
    assert not Regression().has_hits
    assert not Regression().hits(outputs, labels).any()


def test_guessing_is_the_mean_of_what_is_known() -> None:
    known, labels = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [5.0], [0.0]])
    assert Regression().guessing(labels, known) == pytest.approx((0 + 9 + 4) / 3)
    assert Classification().guessing(torch.tensor([0, 1]), torch.tensor([1, 1])) is None
