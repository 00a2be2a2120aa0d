from __future__ import annotations

import pytest
import scipy.stats
import torch
from initbench_classical.uniform import Uniform
from initbench_classical.variance_scaling import He
from pydantic import ValidationError
from torch import nn

from initbench.api import Treatment
from tests.plugins.initbench_classical.support import initialise


def test_every_layer_is_uniform_in_the_range_and_biases_have_their_number() -> None:
    network = nn.Sequential(nn.Conv2d(3, 40, 5), nn.Tanh(), nn.Linear(100, 50))
    coverage = initialise(network, Uniform(Uniform.Config(low=-0.5, high=2.0)))
    for index in (0, 2):
        weight = network.get_parameter(f"{index}.weight").detach().flatten().numpy()
        reference = scipy.stats.uniform(-0.5, 2.5)
        assert scipy.stats.kstest(weight, reference.cdf).pvalue > 1e-4
        assert torch.equal(
            network.get_parameter(f"{index}.bias"),
            torch.full_like(network.get_parameter(f"{index}.bias"), 0.01),
        )
    assert dict(coverage)["0.bias"].treatment is Treatment.RULE


def test_by_default_it_is_the_start_of_the_zoos() -> None:
    config = Uniform.Config()
    assert (config.low, config.high, config.bias) == (0.0, 1.0, 0.01)


def test_the_bias_of_other_methods_may_be_a_number_too() -> None:
    layer = nn.Linear(10, 10)
    initialise(layer, He(He.Config(bias=0.01)))
    assert torch.equal(layer.bias, torch.full((10,), 0.01))


@pytest.mark.parametrize("config", [{"low": 1.0}, {"high": -1.0}, {"low": float("-inf")}])
def test_impossible_ranges_are_refused(config: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Uniform.Config(**config)
