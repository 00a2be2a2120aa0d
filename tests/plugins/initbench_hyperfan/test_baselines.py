from __future__ import annotations

import pytest
import torch

from tests.plugins.initbench_hyperfan.support import (
    built,
    initialise,
    initialiser,
    mlp,
    weight_of,
)


@pytest.mark.parametrize(
    ("scheme", "variances"),
    [
        ("xavier", [2 / (50 + 78400), 2 / (50 + 10000), 2 / (50 + 1000)]),
        ("kaiming_fan_in", [2 / 50, 2 / 50, 1 / 50]),
        ("kaiming_fan_out", [2 / 78400, 2 / 10000, 1 / 1000]),
    ],
)
def test_m1_takes_fans_of_the_hypernetwork(scheme: str, variances: list[float]) -> None:
    network = mlp([100] * 3, "relu")
    initialise(network, initialiser("hypernet_classical", scheme=scheme))
    found = [weight_of(network, o.name).var().item() for o in network.anatomy().outputs]
    assert found == pytest.approx(variances, rel=0.03)


def test_m2_has_one_width_for_all() -> None:
    network = mlp([100] * 3)
    initialise(network, initialiser("hypernet_small", std=0.003))
    found = [weight_of(network, o.name).std().item() for o in network.anatomy().outputs]
    assert found == pytest.approx([0.003] * 3, rel=0.02)


def test_m3_is_a_tenth_of_kaiming() -> None:
    one, ten = mlp([30] * 3, "relu"), mlp([30] * 3, "relu")
    initialise(one, initialiser("hypernet_scaled"), seed=5)
    initialise(ten, initialiser("hypernet_classical", scheme="kaiming_fan_in"), seed=5)
    for output in one.anatomy().outputs:
        torch.testing.assert_close(10 * weight_of(one, output.name), weight_of(ten, output.name))


@pytest.mark.parametrize("biases", [False, True])
def test_m4_puts_the_scale_into_constant_embeddings(biases: bool) -> None:
    network = mlp([100] * 3, "relu", biases=biases)
    initialise(network, initialiser("hypernet_constant"))
    embeddings = network.generator.embeddings.own
    assert torch.equal(embeddings, embeddings[:, :1].expand_as(embeddings))
    generated = network.generated()
    both = 2 if biases else 1
    assert generated["linear1.weight"].var().item() == pytest.approx(2 / (both * 784), rel=0.05)
    assert generated["linear3.weight"].var().item() == pytest.approx(2 / (both * 100), rel=0.05)
    assert generated["head.weight"].var().item() == pytest.approx(1 / (both * 100), rel=0.2)
    if biases:
        assert generated["linear2.bias"].var().item() == pytest.approx(1, rel=0.4)


def test_m4_works_through_blocks() -> None:
    network = built({"main": {"name": "all_cnn_c"}, "sharing": "chunked"}, 3, 32)
    initialise(network, initialiser("hypernet_constant"))
    for tensor, weight in zip(network.generator.chosen, network.generated().values(), strict=True):
        assert weight.var().item() * tensor.layer.fan_in / 2 == pytest.approx(1, rel=0.3)


def test_m4_refuses_hidden_layers() -> None:
    support = initialiser("hypernet_constant").supports(mlp([8], hidden=[9]).anatomy())
    assert support.reason == "hidden layers lie between embeddings and output layers"
