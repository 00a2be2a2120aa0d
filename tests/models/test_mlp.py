from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from initbench.models.mlp import MLP
from initbench.models.tracing import anatomy


def test_has_the_widths_and_activation_asked_for() -> None:
    model = MLP(MLP.Config(widths=[500] * 5, activation="tanh"))
    layers = anatomy(model.build(1, 28, 10)).layers
    assert [layer.shape for layer in layers] == [
        (500, 784),
        (500, 500),
        (500, 500),
        (500, 500),
        (500, 500),
        (10, 500),
    ]
    assert [layer.activation for layer in layers] == ["tanh"] * 5 + ["identity"]


@pytest.mark.parametrize("size", [8, 28, 33])
def test_takes_images_of_any_size(size: int) -> None:
    model = MLP(MLP.Config())
    assert model.image_size() is None
    assert model.build(3, size, 7)(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_without_hidden_layers_is_a_linear_classifier() -> None:
    network = MLP(MLP.Config(widths=[])).build(1, 8, 10)
    assert [tuple(p.shape) for p in network.parameters()] == [(10, 64), (10,)]


@pytest.mark.parametrize("config", [{"widths": [0]}, {"widths": 5}, {"activation": "rellu"}])
def test_impossible_configurations_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MLP.Config.model_validate(config)
