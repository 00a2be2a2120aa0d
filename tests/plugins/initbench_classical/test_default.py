from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from initbench_classical.default import Default
from torch import nn

from initbench.api import Treatment
from initbench.models.cifar_resnet import CifarResNet
from initbench.models.mlp import MLP
from initbench.models.zoo_cnn import ZooCNN
from tests.plugins.initbench_classical.support import initialise

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "zoo_cnn": lambda: ZooCNN(ZooCNN.Config()).build(1, 28, 10),
    "mlp": lambda: MLP(MLP.Config()).build(3, 8, 10),
    "cifar_resnet": lambda: CifarResNet(CifarResNet.Config(shortcut="B")).build(3, 32, 10),
    "all kinds": lambda: nn.Sequential(
        nn.Conv1d(2, 4, 3, groups=2),
        nn.Conv3d(2, 4, 3, bias=False),
        nn.ConvTranspose2d(4, 2, 3),
        nn.GroupNorm(2, 4),
        nn.LayerNorm(4),
        nn.PReLU(),
        nn.Embedding(7, 4, padding_idx=2),
        nn.MultiheadAttention(8, 2),
        nn.LSTM(4, 3),
        nn.Bilinear(2, 3, 4),
        nn.TransformerEncoderLayer(8, 2, 16),
    ),
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("seed", [0, 7])
def test_bits_are_those_of_building_the_network_after_manual_seed(
    build: Callable[[], nn.Module], seed: int
) -> None:
    torch.manual_seed(seed)
    expected = build()
    torch.manual_seed(seed + 1)
    network = build()
    coverage = initialise(network, Default(Default.Config()), seed)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, expected.get_parameter(name)), name
    assert coverage.share(Treatment.UNTOUCHED) == 0


def test_the_generator_advances_as_the_global_one_would() -> None:
    from initbench.api import Initialisation
    from initbench.models.tracing import anatomy

    torch.manual_seed(3)
    network = nn.Linear(5, 5)
    after = torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    Default(Default.Config()).initialise(network, Initialisation(anatomy(network), generator))
    assert torch.equal(generator.get_state(), after)


def test_modules_without_a_rule_are_left_alone_with_the_reason() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.tensor([5.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factor

    network = nn.Sequential(nn.Linear(2, 2), Scale())
    coverage = dict(initialise(network, Default(Default.Config())))
    assert coverage["1.factor"].treatment is Treatment.UNTOUCHED
    assert coverage["1.factor"].reason == "Scale has no `reset_parameters`"
    assert network.get_parameter("1.factor").item() == 5.0


def test_weights_behind_a_parametrization_are_left_alone() -> None:
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    coverage = dict(initialise(network, Default(Default.Config()), seed=1))
    for name, entry in coverage.items():
        unchanged = torch.equal(network.get_parameter(name), before[name])
        assert unchanged == (entry.treatment is Treatment.UNTOUCHED)
    assert coverage["0.bias"].treatment is Treatment.GENERATED


def test_linear_weights_and_biases_are_uniform_within_one_over_root_fan_in() -> None:
    layer = nn.Linear(64, 500)
    initialise(layer, Default(Default.Config()))
    assert layer.weight.abs().max() <= 1 / 8
    assert layer.weight.std().item() == pytest.approx((1 / 64 / 3) ** 0.5, rel=0.02)
    assert 0.11 < layer.bias.abs().max() <= 1 / 8
