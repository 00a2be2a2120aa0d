from __future__ import annotations

import pytest
import scipy.stats
from initbench_classical.truncated_normal import TruncatedNormal
from pydantic import ValidationError
from torch import nn

from tests.plugins.initbench_classical.support import initialise


@pytest.mark.parametrize(("std", "cut"), [(0.02, 2.0), (0.1, 1.0), (0.02, 3.0)])
@pytest.mark.parametrize("layer", [nn.Linear(100, 100), nn.Conv2d(32, 32, 3, groups=2)])
def test_every_layer_has_the_same_truncated_normal(
    layer: nn.Module, std: float, cut: float
) -> None:
    initialise(layer, TruncatedNormal(TruncatedNormal.Config(std=std, cut=cut)))
    values = layer.get_parameter("weight").detach().flatten().numpy()
    assert abs(values).max() <= std * cut
    reference = scipy.stats.truncnorm(-cut, cut, scale=std)
    assert scipy.stats.kstest(values, reference.cdf).pvalue > 1e-4


def test_cut_at_two_the_weights_have_88_percent_of_the_standard_deviation() -> None:
    layer = nn.Linear(300, 300)
    initialise(layer, TruncatedNormal(TruncatedNormal.Config()))
    assert layer.weight.std().item() == pytest.approx(0.88 * 0.02, rel=0.01)


@pytest.mark.parametrize("config", [{"std": 0.0}, {"cut": -1.0}, {"std": float("inf")}])
def test_impossible_configurations_are_refused(config: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TruncatedNormal.Config(**config)
