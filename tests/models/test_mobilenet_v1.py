from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from initbench.models.anatomy import LayerRole
from initbench.models.mobilenet_v1 import MobileNetV1
from initbench.models.tracing import anatomy
from tests.models.building import parameters, shapes_only


def model(**config: Any) -> MobileNetV1:
    return MobileNetV1(MobileNetV1.Config(**config))


@pytest.mark.parametrize(
    ("width", "millions_of_the_paper"), [(1.0, 4.2), (0.75, 2.6), (0.5, 1.3), (0.25, 0.5)]
)
def test_has_the_parameters_of_the_paper(width: float, millions_of_the_paper: float) -> None:
    count = parameters(shapes_only(model(width=width), 3, 1000))
    assert count / 1e6 == pytest.approx(millions_of_the_paper, abs=0.05)


def test_parameters_counted_by_hand() -> None:
    widths = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    count = 3 * 9 * 32 + 2 * 32
    for inputs, outputs in pairwise(widths):
        count += 9 * inputs + 2 * inputs + inputs * outputs + 2 * outputs
    assert count + 1025 * 1000 == 4_231_976
    for stem in ("imagenet", "cifar"):
        assert parameters(shapes_only(model(stem=stem), 3, 1000)) == 4_231_976
        assert parameters(shapes_only(model(stem=stem), 3, 10)) == 3_217_226


def test_roles_groups_and_activations() -> None:
    layers = list(anatomy(shapes_only(model())).weight_layers())
    assert len(layers) == 28
    stem, *convolutions, head = layers
    assert (stem.name, stem.role, stem.shape) == ("stem.conv", LayerRole.STEM, (32, 3, 3, 3))
    assert (head.name, head.role, head.activation) == ("head", LayerRole.HEAD, "identity")
    assert {layer.activation for layer in [stem, *convolutions]} == {"relu"}
    for depthwise, pointwise in zip(convolutions[::2], convolutions[1::2], strict=True):
        assert depthwise.groups == depthwise.shape[0] == pointwise.shape[1]
        assert (depthwise.fan_in, depthwise.fan_out) == (9, 9)
        assert pointwise.groups == pointwise.receptive_field == 1


@pytest.mark.parametrize(
    ("stem", "size", "sides"),
    [("imagenet", 224, (112, 56, 28, 14, 7)), ("cifar", 32, (32, 16, 8, 4, 2))],
)
def test_strides_are_those_of_the_paper(stem: str, size: int, sides: tuple[int, ...]) -> None:
    network = shapes_only(model(stem=stem))
    x = torch.empty(1, 3, size, size, device="meta")
    seen = []
    for name, module in network.named_children():
        x = module(x)
        if name in ("stem", "depthwise2", "depthwise4", "depthwise6", "pointwise13"):
            seen.append(x.shape[-1])
    assert tuple(seen) == sides


def test_equals_a_forward_pass_written_by_hand() -> None:
    network = model(stem="cifar", width=0.25).build(1, 32, 5).train()
    w = dict(network.named_parameters())
    images = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))

    def unit(x: torch.Tensor, name: str, stride: int, groups: int) -> torch.Tensor:
        weight = w[f"{name}.conv.weight"]
        x = functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, groups)
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        x = (x - mean) / torch.sqrt(var + 1e-5) * w[f"{name}.norm.weight"].view(-1, 1, 1)
        return torch.relu(x + w[f"{name}.norm.bias"].view(-1, 1, 1))

    x = unit(images, "stem", 1, 1)
    for i, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1], start=1):
        x = unit(x, f"depthwise{i}", stride, x.shape[1])
        x = unit(x, f"pointwise{i}", 1, 1)
    logits = x.mean((2, 3)) @ w["head.weight"].T + w["head.bias"]
    torch.testing.assert_close(network(images), logits, rtol=1e-3, atol=1e-4)


def test_tells_the_image_size_of_its_stem() -> None:
    assert model().image_size() == 224
    assert model(stem="cifar").image_size() is None
    assert model(image_size=128).image_size() == 128


@pytest.mark.parametrize("config", [{"stem": "cifra"}, {"width": 0}, {"width": 2.0}])
def test_impossible_configurations_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(**config)
