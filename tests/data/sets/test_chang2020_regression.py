from __future__ import annotations

import numpy as np
import pytest
import torch

from initbench.data.prepared import from_tensors, load, prepare, to_tensors
from initbench.data.sets.chang2020_regression import Chang2020Regression
from initbench.plugin.initialiser import Config

DATA = Chang2020Regression(Config())


def test_every_split_has_the_tasks_one_after_another() -> None:
    splits = load(DATA, None)
    for name, split in splits.items():
        count = len(split) // 3
        assert len(split) == DATA.split_sizes()[name]
        assert split.images[:].shape == (3 * count, 2, 1, 1)
        assert split.images[:, 1, 0, 0].tolist() == [k for k in range(3) for _ in range(count)]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("task", "low", "high", "values"),
    [
        (0, -4, -2, lambda x: x + 3),
        (1, -1, 1, lambda x: 2 * x * x - 1),
        (2, 2, 4, lambda x: (x - 3) ** 3),
    ],
)
def test_outputs_are_those_of_the_functions_with_noise_in_training_only(
    task: int, low: float, high: float, values: object
) -> None:
    assert callable(values)
    for name, split in load(DATA, None).items():
        part = slice(task * len(split) // 3, (task + 1) * len(split) // 3)
        x, y = split.images[part][:, 0, 0, 0], split.labels[part, 0]
        assert low <= x.min()
        assert x.max() <= high
        error = (y - torch.tensor([values(v) for v in x.tolist()])).std().item()
        if name == "train":
            assert 0.04 < error < 0.06
        else:
            assert error < 1e-6


def test_training_inputs_are_the_draws_of_the_seed_42() -> None:
    draws = np.random.RandomState(42)
    expected = draws.uniform(-4, -2, 100)
    noise = draws.normal(0, 0.05, 100)
    train = load(DATA, None).train
    assert train.images[:100][:, 0, 0, 0].tolist() == pytest.approx(expected, rel=1e-6)
    assert train.labels[:100, 0].tolist() == pytest.approx(expected + 3 + noise, abs=1e-6)


def test_real_numbers_come_back_from_the_store_as_they_were() -> None:
    splits = prepare(DATA, 1, None)
    again = from_tensors(*to_tensors(splits), None)
    for (_, one), (_, other) in zip(splits.items(), again.items(), strict=True):
        assert torch.equal(one.images[:], other.images[:])
        assert torch.equal(one.labels, other.labels)


def test_the_parts_of_the_test_split_are_the_tasks() -> None:
    assert DATA.parts()["task_2"] == slice(50, 100)
