from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from initbench_classical.orthogonal import DeltaOrthogonal, Orthogonal
from torch import Tensor, nn

from initbench.api import Treatment
from initbench.models.cifar_resnet import CifarResNet
from initbench.models.tracing import anatomy
from initbench.models.zoo_cnn import ZooCNN
from tests.plugins.initbench_classical.support import initialise

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def assert_semi_orthogonal(matrix: Tensor, gain: float) -> None:
    """Rows are orthonormal times `gain`, or columns are, whichever are fewer."""
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    identity = gain**2 * torch.eye(len(small))
    torch.testing.assert_close(small @ small.T, identity, rtol=0, atol=2e-5 * gain**2)


@given(
    inputs=st.integers(1, 7),
    outputs=st.integers(1, 7),
    groups=st.integers(1, 4),
    kernel=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    transposed=st.booleans(),
    gain=st.floats(0.5, 3),
)
def test_every_group_of_a_convolution_is_semi_orthogonal(
    *, inputs: int, outputs: int, groups: int, kernel: list[int], transposed: bool, gain: float
) -> None:
    cls = (TRANSPOSED if transposed else CONVS)[len(kernel) - 1]
    layer = cls(inputs * groups, outputs * groups, tuple(kernel), groups=groups)
    initialise(layer, Orthogonal(Orthogonal.Config(gain=gain)))
    for group in layer.weight.detach().chunk(groups):
        assert_semi_orthogonal(group.flatten(1), gain)


def test_weights_are_those_of_torch_nn_init() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4)
    )
    initialise(network, Orthogonal(Orthogonal.Config()), seed=5)
    generator = torch.Generator().manual_seed(5)
    for i, gain in ((0, 5 / 3), (3, math.sqrt(2)), (5, 1.0)):
        expected = torch.empty_like(network[i].weight)
        nn.init.orthogonal_(expected, gain, generator)
        assert torch.equal(network[i].weight, expected)


def test_a_deep_linear_network_preserves_norms_exactly() -> None:
    network = nn.Sequential(*(nn.Linear(20, 20) for _ in range(50)))
    initialise(network, Orthogonal(Orthogonal.Config()))
    x = torch.randn(5, 20)
    torch.testing.assert_close(network(x).norm(dim=1), x.norm(dim=1), rtol=1e-4, atol=0)


def test_the_matrix_is_uniform_over_rotations_and_reflections() -> None:
    signs, determinants = [], []
    for seed in range(200):
        layer = nn.Linear(2, 2)
        initialise(layer, Orthogonal(Orthogonal.Config()), seed)
        signs.append(bool(layer.weight[0, 0] > 0))
        determinants.append(bool(torch.linalg.det(layer.weight) > 0))
    assert 70 < sum(signs) < 130
    assert 70 < sum(determinants) < 130


@given(
    inputs=st.integers(1, 5),
    extra=st.integers(0, 4),
    groups=st.integers(1, 3),
    kernel=st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3),
    transposed=st.booleans(),
    gain=st.floats(0.5, 3),
)
def test_a_delta_orthogonal_convolution_preserves_the_norm_of_any_image(
    *, inputs: int, extra: int, groups: int, kernel: list[int], transposed: bool, gain: float
) -> None:
    cls = (TRANSPOSED if transposed else CONVS)[len(kernel) - 1]
    padding = tuple(extent // 2 for extent in kernel)
    layer = cls(
        inputs * groups, (inputs + extra) * groups, tuple(kernel), padding=padding, groups=groups
    )
    coverage = dict(initialise(layer, DeltaOrthogonal(DeltaOrthogonal.Config(gain=gain))))
    assert coverage["weight"].treatment is Treatment.GENERATED
    x = torch.randn(2, inputs * groups, *[6] * len(kernel))
    with torch.no_grad():
        out = layer(x)
    torch.testing.assert_close(out.norm(), gain * x.norm(), rtol=1e-4, atol=0)


def test_only_the_centre_tap_of_a_delta_orthogonal_kernel_is_not_zero() -> None:
    layer = nn.Conv2d(4, 6, (3, 5))
    initialise(layer, DeltaOrthogonal(DeltaOrthogonal.Config()))
    weight = layer.weight.detach().clone()
    centre = weight[:, :, 1, 2].clone()
    weight[:, :, 1, 2] = 0
    assert not weight.any()
    assert_semi_orthogonal(centre, 1.0)


def test_linear_layers_of_delta_orthogonal_are_orthogonal() -> None:
    layer = nn.Linear(6, 4)
    coverage = dict(initialise(layer, DeltaOrthogonal(DeltaOrthogonal.Config())))
    assert_semi_orthogonal(layer.weight.detach(), 1.0)
    assert coverage["weight"].treatment is Treatment.GENERATED


@pytest.mark.parametrize(
    ("layer", "tap", "reason"),
    [
        (nn.Conv2d(6, 4, 3), (1, 1), "4 outputs for 6 inputs: orthonormal rows, no isometry"),
        (nn.Conv2d(4, 4, 4), (1, 1), "a 4 x 4 kernel has no centre: the tap before the middle"),
        (nn.Conv2d(4, 4, (2, 3)), (0, 1), "a 2 x 3 kernel has no centre"),
        (nn.ConvTranspose2d(6, 4, 3), (1, 1), "4 outputs for 6 inputs"),
        (nn.Conv2d(12, 8, 3, groups=2), (1, 1), "4 outputs for 6 inputs"),
        (nn.Conv2d(6, 4, 2), (0, 0), "no isometry; a 2 x 2 kernel"),
    ],
)
def test_layers_that_do_not_fit_get_the_nearest_thing_as_a_recorded_fallback(
    layer: Any, tap: tuple[int, int], reason: str
) -> None:
    coverage = dict(initialise(layer, DeltaOrthogonal(DeltaOrthogonal.Config())))
    assert coverage["weight"].treatment is Treatment.FALLBACK
    assert reason in coverage["weight"].reason
    weight = layer.weight.detach().clone()
    for group in weight[:, :, *tap].chunk(layer.groups):
        assert_semi_orthogonal(group, 1.0)
    weight[:, :, *tap] = 0
    assert not weight.any()
    refusing = DeltaOrthogonal(DeltaOrthogonal.Config(misfit="refuse"))
    support = refusing.supports(anatomy(layer))
    assert not support.supported
    assert reason in support.reason


def test_refusing_misfits_is_per_model() -> None:
    refusing = DeltaOrthogonal(DeltaOrthogonal.Config(misfit="refuse"))
    resnet = anatomy(CifarResNet(CifarResNet.Config()).build(3, 32, 10))
    zoo_cnn = anatomy(ZooCNN(ZooCNN.Config()).build(1, 28, 10))
    assert refusing.supports(resnet).supported
    assert refusing.supports(zoo_cnn).reason.startswith("layer `conv2` does not fit: 6 outputs")
    assert DeltaOrthogonal(DeltaOrthogonal.Config()).supports(zoo_cnn).supported
