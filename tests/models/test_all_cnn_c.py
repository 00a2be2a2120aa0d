from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from initbench.models.all_cnn_c import AllCNNC
from initbench.models.anatomy import LayerRole
from initbench.models.tracing import anatomy


def build(channels: int = 3, classes: int = 10, *, dropout: bool = False) -> torch.nn.Module:
    return AllCNNC(AllCNNC.Config(dropout=dropout)).build(channels, 32, classes)


def test_has_the_shapes_and_the_number_of_parameters_of_the_paper() -> None:
    layers = list(anatomy(build()).weight_layers())
    assert [layer.shape for layer in layers] == [
        (96, 3, 3, 3),
        (96, 96, 3, 3),
        (96, 96, 3, 3),
        (192, 96, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 1, 1),
        (10, 192, 1, 1),
    ]
    assert sum(p.numel() for p in build().parameters()) == 1_369_738


def test_a_relu_follows_every_convolution_and_the_last_one_is_the_head() -> None:
    layers = list(anatomy(build()))
    assert {layer.activation for layer in layers} == {"relu"}
    assert [layer.role for layer in layers[1:-1]] == [LayerRole.HIDDEN] * 7
    assert (layers[0].role, layers[-1].role) == (LayerRole.STEM, LayerRole.HEAD)


def test_equals_a_forward_pass_written_by_hand() -> None:
    network = build(dropout=True).eval()
    w = dict(network.named_parameters())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x = images
    for i, (stride, padding) in enumerate(
        [(1, 1), (1, 1), (2, 1), (1, 1), (1, 1), (2, 1), (1, 1), (1, 0), (1, 0)], start=1
    ):
        x = functional.conv2d(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"], stride, padding)
        x = torch.relu(x)
    assert x.shape == (2, 10, 8, 8)
    torch.testing.assert_close(network(images), x.mean((2, 3)))


@pytest.mark.parametrize(("channels", "classes", "size"), [(1, 2, 28), (3, 100, 33), (1, 7, 8)])
def test_takes_grey_images_any_size_and_any_number_of_classes(
    channels: int, classes: int, size: int
) -> None:
    assert AllCNNC(AllCNNC.Config()).image_size() is None
    images = torch.zeros(2, channels, size, size)
    assert build(channels, classes)(images).shape == (2, classes)


def test_dropout_acts_on_the_input_and_after_the_strides_in_training_only() -> None:
    network = build(dropout=True)
    rates = {name: m.p for name, m in network.named_children() if isinstance(m, torch.nn.Dropout)}
    assert rates == {"dropout0": 0.2, "dropout3": 0.5, "dropout6": 0.5}
    order = [name for name, _ in network.named_children()]
    assert order[0] == "dropout0"
    assert order.index("dropout3") == order.index("relu3") + 1
    images = torch.randn(2, 3, 16, 16)
    assert not torch.equal(network(images), network(images))
    assert torch.equal(network.eval()(images), network(images))
