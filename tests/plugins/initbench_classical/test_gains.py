from __future__ import annotations

import math

import pytest
import torch
from initbench_classical._layers import Gain, gain_of
from initbench_classical.variance_scaling import He
from pydantic import ValidationError
from torch import nn

from initbench.models.activations import _CLASSES
from initbench.models.tracing import anatomy


def gain(activation: nn.Module, setting: Gain = "auto") -> float:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), activation, nn.Linear(4, 2))
    return gain_of(anatomy(network).layers[0], setting)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (nn.Identity(), 1.0),
        (nn.Sigmoid(), 1.0),
        (nn.Tanh(), 5 / 3),
        (nn.ReLU(), math.sqrt(2)),
        (nn.LeakyReLU(), math.sqrt(2 / (1 + 0.01**2))),
        (nn.LeakyReLU(0.5), math.sqrt(2 / 1.25)),
        (nn.PReLU(), math.sqrt(2 / (1 + 0.25**2))),
        (nn.SELU(), 0.75),
        (nn.GELU(), math.sqrt(2)),
        (nn.SiLU(), math.sqrt(2)),
        (nn.ReLU6(), math.sqrt(2)),
        (nn.Hardtanh(), 5 / 3),
        (nn.Hardsigmoid(), 1.0),
        (nn.Softshrink(), 1.0),
    ],
)
def test_the_gain_is_that_of_the_activation_that_follows(
    activation: nn.Module, expected: float
) -> None:
    assert gain(activation) == pytest.approx(expected)


def test_every_activation_has_a_gain_near_that_of_its_relatives() -> None:
    for name, cls in _CLASSES.items():
        arguments = (0.0, 0.0) if name == "threshold" else ()
        assert 0.75 <= gain(getattr(nn, cls)(*arguments)) <= 5 / 3, name


def test_a_named_or_numeric_gain_is_that_of_all_layers() -> None:
    assert gain(nn.Tanh(), "relu") == pytest.approx(math.sqrt(2))
    assert gain(nn.Identity(), "tanh") == pytest.approx(5 / 3)
    # The slope of the leaky ReLU that is named, not of the one that follows.
    assert gain(nn.LeakyReLU(0.5), "leaky_relu") == pytest.approx(math.sqrt(2 / (1 + 0.01**2)))
    assert gain(nn.ReLU(), 0.3) == 0.3


def test_an_integer_gain_becomes_a_number_of_the_same_key() -> None:
    assert He.Config(gain=1).model_dump() == He.Config(gain=1.0).model_dump()
    assert type(He.Config(gain=1).gain) is float


@pytest.mark.parametrize("wrong", [0, -1.0, math.inf, math.nan, "rellu", True, "1.0"])
def test_impossible_gains_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        He.Config(gain=wrong)


def test_the_reason_names_activation_and_gain() -> None:
    from tests.plugins.initbench_classical.support import initialise

    network = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    coverage = dict(initialise(network, He(He.Config())))
    assert coverage["0.weight"].reason == (
        "normal, variance gain^2 / fan-in, gain 1.667 of tanh (traced)"
    )
    named = dict(initialise(network, He(He.Config(gain="relu", mode="fan_out"))))
    assert named["2.weight"].reason == "normal, variance gain^2 / fan-out, gain 1.414 of relu"
    assert torch.isfinite(network[0].weight).all()
