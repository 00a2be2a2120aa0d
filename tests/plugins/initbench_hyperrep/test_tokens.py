"""Networks become vectors and tokens, and come back."""

from __future__ import annotations

import json

import pytest
import torch
from initbench_hyperrep.tokens import TokenTable
from torch import nn

from initbench.api import UnsupportedError
from initbench.models.cifar_resnet import CifarResNet, CifarResNetConfig
from initbench.models.tracing import anatomy
from tests.plugins.initbench_hyperrep.support import GOLDEN, ZOOS, zoo_cnn, zoo_table


@pytest.mark.parametrize("name", ZOOS)
def test_the_table_of_the_zoo_cnn_is_that_of_the_authors(name: str) -> None:
    expected = json.loads((GOLDEN / "token_index.json").read_text())[name]
    table = zoo_table(name)
    assert list(table.starts) == expected["idx_start"]
    assert [x.size for x in table.layers] == expected["idx_length"]
    assert [x.neurons for x in table.layers] == expected["kernel_no"]
    assert [x.kernel for x in table.layers] == expected["kernel_size"]
    assert [x.channels for x in table.layers] == expected["channels_in"]
    assert table.tokens == 48


def networks() -> dict[str, nn.Module]:
    resnet = CifarResNet(CifarResNetConfig(depth=20)).build(3, 32, 10)
    bare = nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 2))
    return {"zoo CNN": zoo_cnn(), "ResNet-20": resnet, "without biases": bare}


@pytest.mark.parametrize("name", networks())
def test_every_parameter_is_in_one_token_and_comes_back(name: str) -> None:
    network = networks()[name]
    table = TokenTable.of(anatomy(network))
    state = {key: torch.randn_like(x) for key, x in network.named_parameters()}
    vector = table.flatten(state)
    assert table.size == len(vector) == sum(x.numel() for x in state.values())
    back = table.state(vector)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], x) for key, x in state.items())


@pytest.mark.parametrize("name", networks())
def test_a_token_is_a_neuron_with_its_own_numbers(name: str) -> None:
    network = networks()[name]
    table = TokenTable.of(anatomy(network))
    state = {key: torch.randn_like(x) for key, x in network.named_parameters()}
    rows = table.flatten(state)[None]
    for layer, block in zip(table.layers, table.blocks(rows), strict=True):
        tokens = layer.tokens(block)
        last = layer.neurons - 1
        slow = [
            state[layer.weight][last].flatten(),
            *(state[x][last : last + 1] for x in layer.vectors),
        ]
        assert torch.equal(tokens[0, last], torch.cat(slow))
        assert torch.equal(layer.untokened(tokens), block)


def test_batch_norm_belongs_to_the_neurons_before_it() -> None:
    table = TokenTable.of(anatomy(networks()["ResNet-20"]))
    assert table.tokens == 16 + 6 * (16 + 32 + 64) + 10
    assert {len(x.vectors) for x in table.layers[:-1]} == {2}
    assert table.layers[0].vectors == ("norm.weight", "norm.bias")
    assert table.layers[-1].vectors == ("head.bias",)


def test_the_plain_form_says_everything() -> None:
    table = zoo_table()
    assert TokenTable.from_tree(json.loads(json.dumps(table.tree()))) == table


def test_networks_with_parameters_in_no_token_are_refused() -> None:
    table = TokenTable.of
    with pytest.raises(UnsupportedError, match="`0` is neither a convolution"):
        table(anatomy(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))))
    with pytest.raises(UnsupportedError, match="`0` is transposed"):
        table(anatomy(nn.Sequential(nn.ConvTranspose2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2))))


def test_weights_of_another_architecture_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"expected `conv1.weight` of shape \(8, 1, 5, 5\)"):
        zoo_table().flatten(zoo_cnn(3).state_dict())
    with pytest.raises(UnsupportedError, match="got none"):
        zoo_table().flatten({})
