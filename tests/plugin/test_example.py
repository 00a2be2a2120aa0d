"""Networks of models that are named outside of a suite."""

from __future__ import annotations

import pytest

from initbench.api import example_network
from initbench.errors import PluginError, UserError


def test_a_model_is_written_as_in_a_suite() -> None:
    example = example_network("{name: cifar_resnet, depth: 32}", channels=1, classes=7)
    assert (example.label, example.image) == ("cifar_resnet(depth=32)", (1, 32, 32))
    assert example_network("{name: cifar_resnet, depth: 32, label: deep}").label == "deep"
    assert sum(layer.kind == "linear" for layer in example.anatomy) == 1
    assert example.network.get_parameter("head.weight").shape == (7, 64)


def test_it_has_shapes_and_costs_no_memory() -> None:
    example = example_network("convnext_base")
    assert example.image == (3, 224, 224)
    assert all(parameter.is_meta for parameter in example.network.parameters())


@pytest.mark.parametrize(
    "model", ["", "[1]", "{depth: 3}", "{name: 3}", "zoo_cn", "{name: zoo_cnn, x: 1}"]
)
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises((UserError, PluginError)):
        example_network(model)
