"""The numbers of a trial do not move unnoticed.

Two short trainings of a small network whose weights come from a formula, so that nothing but data,
streams and training enters. The tolerance allows for other CPUs and other versions of torch: over
these few steps rounding stays far below it.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from initbench.data.prepared import prepare
from initbench.data.resident import ResidentData
from initbench.data.sets.digits import Digits
from initbench.training.outcome import Member
from initbench.training.recipe import Recipe
from initbench.training.trainer import final_numbers, train

TOLERANCE = 2e-4  # relative, for losses and the sum of weights; accuracies may differ by an image
MOVED = (
    "the harness computes other numbers for the same trial: if that is meant, bump "
    "PROTOCOL_VERSION in initbench/store/record.py, give the reason in CHANGELOG.md, and put the "
    "new numbers here"
)


def _network() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(100, 10)
    )
    with torch.no_grad():
        for layer in (net[0], net[4]):
            weight = layer.weight
            waves = torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 12.9898)
            weight.copy_((2 * waves.view_as(weight) / math.sqrt(weight[0].numel())).float())
            layer.bias.zero_()
    return net


CASES: dict[str, tuple[dict[str, Any], dict[str, float], str]] = {
    "sgd": (
        {
            "optimiser": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3},
            "schedule": {"name": "step", "milestones": [1], "factors": [0.2]},
            "epochs": 2,
            "batch_size": 128,
            "augmentation": {"crop_padding": 1, "flip": True},
        },
        {
            "test_accuracy.initial": 0.1133333,
            "test_loss.initial": 2.602664,
            "validation_accuracy.initial_batch_statistics": 0.08333333,
            "validation_accuracy.initial": 0.09333333,
            "validation_accuracy.best": 0.6366667,
            "validation_accuracy.last": 0.6366667,
            "test_accuracy.best": 0.64,
            "test_loss.best": 1.502482,
            "test_accuracy.last": 0.64,
            "test_loss.last": 1.502482,
            "train_loss": 1.837271,
            "validation_loss": 1.496578,
            "weights": 176.5413,
        },
        "a9a251652856befff334602b87066588518a12757da1cdcbf49a95b57c24a738",
    ),
    "adam": (
        {
            "optimiser": {"name": "adam", "lr": 0.003},
            "schedule": {"name": "cosine", "warmup_batches": 5},
            "epochs": 1,
            "batch_size": 100,
            "drop_last": True,
            "evaluation": {"every": 4, "unit": "batch"},
            "label_smoothing": 0.1,
            "clip_norm": 1.0,
        },
        {
            "test_accuracy.initial": 0.1133333,
            "test_loss.initial": 2.602664,
            "validation_accuracy.initial_batch_statistics": 0.08333333,
            "validation_accuracy.initial": 0.09333333,
            "validation_accuracy.best": 0.41,
            "validation_accuracy.last": 0.41,
            "test_accuracy.best": 0.4233333,
            "test_loss.best": 2.095044,
            "test_accuracy.last": 0.4233333,
            "test_loss.last": 2.095044,
            "train_loss": 2.17473,
            "validation_loss": 2.06441,
            "weights": 166.9095,
        },
        "903f763ef9d4d7bad105e855dcc0ac391af989228901096bee2f113a5f48acd8",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_numbers_stay_where_they_are(case: str) -> None:
    settings, expected, batch_order = CASES[case]
    data = ResidentData.of(prepare(Digits(Digits.Config()), 12, None))
    net = _network()
    (trained,) = train([Member(net, 42)], data, Recipe.model_validate(settings))
    numbers = final_numbers(net, trained, data)
    numbers["train_loss"] = trained.curves["train_loss"].values[-1]
    numbers["validation_loss"] = trained.curves["validation_loss"].values[-1]
    numbers["weights"] = sum(p.abs().double().sum().item() for p in trained.last.values())
    assert trained.batch_order == batch_order, MOVED
    assert numbers.keys() == expected.keys(), MOVED
    for name, value in numbers.items():
        accuracy = "accuracy" in name
        allowed = 1.5 / 300 if accuracy else TOLERANCE * abs(expected[name])
        assert abs(value - expected[name]) <= allowed, f"{name}: {value}; {MOVED}"
