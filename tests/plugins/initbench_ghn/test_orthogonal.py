from __future__ import annotations

import pytest
import torch
from initbench_ghn.options import OrthogonalOptions
from initbench_ghn.orthogonal import (
    correlation_spread,
    counted,
    default_first,
    nearest_orthogonal,
    orthogonalise,
)
from torch import nn

from initbench.api import CoverageMap, Treatment
from tests.plugins.initbench_ghn.support import golden

CASES = ["conv_tall", "conv_wide", "depthwise", "lin_tall", "lin_wide", "square"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(3, 16, 3)
        self.bn = nn.BatchNorm2d(16)
        self.c2 = nn.Conv2d(16, 32, 3)
        self.c3 = nn.Conv2d(32, 8, 1)
        self.fc = nn.Linear(8, 10)


def golden_net(part: str) -> tuple[Net, dict[str, torch.Tensor]]:
    tensors, _ = golden("orth.safetensors")
    net = Net()
    own = dict(net.named_parameters())
    start = f"net.{part}."
    state = {key.removeprefix(start): x for key, x in tensors.items() if key.startswith(start)}
    with torch.no_grad():
        for name, tensor in state.items():
            if name in own:
                own[name].copy_(tensor)
    return net, tensors


@pytest.mark.parametrize("case", CASES)
def test_matrices_and_correlations_are_those_of_the_released_code(case: str) -> None:
    tensors, _ = golden("orth.safetensors")
    weight = tensors[f"{case}.in"]
    torch.testing.assert_close(
        nearest_orthogonal(weight), tensors[f"{case}.orth"], rtol=0, atol=1e-5
    )
    assert correlation_spread(weight) == pytest.approx(float(tensors[f"{case}.corr_std"]), rel=1e-5)


def test_a_network_comes_out_as_from_the_released_code(monkeypatch: pytest.MonkeyPatch) -> None:
    net, tensors = golden_net("in")
    draws = iter([tensors["net.noise.c2"], tensors["net.noise.c3"]])
    monkeypatch.setattr(torch, "randn", lambda shape, generator: next(draws).reshape(shape))
    orthogonalise(net, OrthogonalOptions(first_layer=2, beta=0.1), torch.Generator())
    expected, _ = golden_net("out")
    for (name, ours), theirs in zip(net.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=name)


def test_columns_are_orthonormal_and_shallow_and_last_layers_stay() -> None:
    net = Net()
    before = {name: p.clone() for name, p in net.named_parameters()}
    coverage = CoverageMap.of(net)
    for name in before:
        coverage.generated(name, "drawn")
    options = OrthogonalOptions(first_layer=2, beta=0)
    orthogonalise(net, options, torch.Generator().manual_seed(0), coverage)
    matrix = net.c2.weight.detach().reshape(32, -1).T
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(32), rtol=0, atol=1e-5)
    changed = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"c2.weight", "c3.weight"}
    reasons = {name: entry.reason for name, entry in coverage}
    assert reasons["c2.weight"] == "drawn; then orthogonal by QR"
    assert reasons["fc.weight"] == "drawn"
    assert all(entry.treatment is Treatment.GENERATED for _, entry in coverage)


def test_the_paper_variant_adds_noise_to_biases_and_norms_too() -> None:
    net = Net()
    before = {name: p.clone() for name, p in net.named_parameters()}
    options = OrthogonalOptions(first_layer=2, beta=0.1, orthogonal=False, noise_scope="all")
    orthogonalise(net, options, torch.Generator().manual_seed(0))
    assert all(not torch.equal(p, before[name]) for name, p in net.named_parameters())


@pytest.mark.parametrize(
    "weight", [torch.ones(4, 3), torch.randn(4, 1), torch.randn(1, 1), torch.zeros(2, 3, 3, 3)]
)
def test_degenerate_matrices_get_no_noise_and_no_nan(weight: torch.Tensor) -> None:
    assert correlation_spread(weight) == 0
    assert nearest_orthogonal(weight).isfinite().all()


def test_spread_is_the_slow_obvious_one() -> None:
    matrix = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
    obvious = torch.corrcoef(matrix).std()
    assert correlation_spread(matrix) == pytest.approx(float(obvious), rel=1e-5)


def test_published_layers_are_the_defaults() -> None:
    from torchvision import models

    weights = counted(models.resnet50(weights=None))
    assert len(weights) == 54
    assert weights[default_first(54) - 1][0] == "layer3.3.conv3.weight"
    assert default_first(113) == 94
