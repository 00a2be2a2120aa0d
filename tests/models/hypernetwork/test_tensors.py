from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from initbench.errors import UserError
from initbench.models.hypernetwork.config import HypernetworkConfig
from initbench.models.hypernetwork.tensors import Chosen, chosen_tensors
from initbench.models.tracing import anatomy
from tests.models.hypernetwork.support import SMALL_MLP, built

MAIN = {"name": "mlp"}  # only its name is said


class Main(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 16, 3)
        self.odd = nn.Conv2d(16, 5, 3, bias=False)
        self.few = nn.Conv2d(5, 8, 3)
        self.point = nn.Conv2d(8, 8, 1)
        self.place = nn.Embedding(3, 8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(torch.relu(self.norm(self.stem(x))))
        x = self.point(self.few(self.odd(x))).mean((2, 3))
        return self.head(x + self.place.weight[0])


def chosen(**config: Any) -> list[Chosen]:
    return chosen_tensors(anatomy(Main()), HypernetworkConfig(main=MAIN, **config))


def test_convolutions_and_linear_layers_are_generated_in_forward_order() -> None:
    names = [tensor.parameter for tensor in chosen()]
    assert names == [
        "stem.weight",
        "up.weight",
        "odd.weight",
        "few.weight",
        "point.weight",
        "head.weight",
    ]


def test_biases_come_after_the_weight_of_their_layer_and_have_its_outputs() -> None:
    tensors = chosen(biases=True, layers=["up", "odd", "head"])
    assert [(t.parameter, t.shape, t.with_bias) for t in tensors] == [
        ("up.weight", (8, 16, 3, 3), True),
        ("up.bias", (16,), True),
        ("odd.weight", (5, 16, 3, 3), False),  # has no bias
        ("head.weight", (10, 8), True),
        ("head.bias", (10,), True),
    ]


def test_blocks_take_the_kernels_whose_outputs_or_inputs_divide_by_their_filters() -> None:
    tensors = chosen(sharing="chunked", blocks={"filters": 8})
    assert [tensor.parameter for tensor in tensors] == ["stem.weight", "odd.weight", "few.weight"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"layers": ["stam"]}, ["unknown layer of the main network `stam`", "`stem`"]),
        ({"layers": ["norm"]}, ["layer `norm` of `mlp` cannot be generated", "kind norm"]),
        ({"layers": ["head", "place"]}, ["layer `place`", "kind embedding", "out of `layers`"]),
        (
            {"layers": ["point"], "sharing": "chunked"},
            ["`point`", "blocks are kernels of 3 x 3", "[8, 8, 1, 1]"],
        ),
        ({"layers": ["up"], "sharing": "chunked", "blocks": {"filters": 8}}, ["is transposed"]),
        (
            {"layers": ["odd"], "sharing": "chunked", "blocks": {"filters": 3}},
            ["neither its outputs nor its inputs, [5, 16], divide by 3"],
        ),
        ({"sharing": "chunked", "blocks": {"kernel": 5}}, ["no layer of `mlp` can be generated"]),
    ],
)
def test_what_cannot_be_generated_is_refused_with_a_reason(
    config: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        chosen(**config)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_main_network_without_layers_is_refused() -> None:
    with pytest.raises(UserError, match="no layer of `mlp` can be generated"):
        chosen_tensors(anatomy(nn.Flatten()), HypernetworkConfig(main=MAIN))


def test_a_tied_weight_is_generated_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.tanh(self.first(x)))

    found = chosen_tensors(anatomy(Tied()), HypernetworkConfig(main=MAIN))
    assert [tensor.parameter for tensor in found] == ["first.weight"]


def test_output_layers_are_shared_only_by_what_needs_the_same_variance() -> None:
    # Four 10 x 10 matrices; nothing follows the last one, which is the classifier.
    widths = {"main": {**SMALL_MLP, "widths": [10] * 4}, "sharing": "per_shape"}
    groups = [[t.name for t in x.tensors] for x in built(widths).anatomy().outputs]
    assert groups == [
        ["main.linear1.weight"],
        ["main.linear2.weight", "main.linear3.weight", "main.linear4.weight"],
        ["main.head.weight"],
    ]
