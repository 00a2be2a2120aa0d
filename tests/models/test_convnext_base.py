from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.ops import StochasticDepth

from initbench.errors import UserError
from initbench.models.anatomy import LayerRole
from initbench.models.convnext_base import ConvNeXtBase
from initbench.models.tracing import anatomy
from tests.models.building import parameters, shapes_only


def model(**config: Any) -> ConvNeXtBase:
    return ConvNeXtBase(ConvNeXtBase.Config(**config))


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_has_the_published_number_of_parameters(stem: str) -> None:
    assert parameters(shapes_only(model(stem=stem))) == 87_576_714


@pytest.mark.parametrize(("stem", "size", "side"), [("imagenet", 224, 56), ("cifar", 32, 29)])
def test_the_small_stem_looks_at_every_pixel(stem: str, size: int, side: int) -> None:
    stage: Any = shapes_only(model(stem=stem)).get_submodule("features.0")
    assert stage(torch.empty(1, 3, size, size, device="meta")).shape[-1] == side


def test_roles_groups_and_activations() -> None:
    found = {x.name: x for x in anatomy(shapes_only(model(), channels=1)).weight_layers()}
    stem, head = found.pop("features.0.0"), found.pop("classifier.2")
    assert (stem.role, stem.shape, stem.activation) == (LayerRole.STEM, (128, 1, 4, 4), "identity")
    assert (head.role, head.shape, head.activation) == (LayerRole.HEAD, (10, 1024), "identity")
    depthwise = {name: layer for name, layer in found.items() if name.endswith("block.0")}
    wide = {name: layer for name, layer in found.items() if name.endswith("block.3")}
    narrow = {name: layer for name, layer in found.items() if name.endswith("block.5")}
    assert (len(depthwise), len(wide), len(narrow), len(found)) == (36, 36, 36, 3 * 36 + 3)
    assert {layer.activation for layer in wide.values()} == {"gelu"}
    assert {found[name].activation for name in found.keys() - wide.keys()} == {"identity"}
    assert all(x.groups == x.shape[0] and x.fan_in == 49 for x in depthwise.values())


@pytest.mark.parametrize(("stem", "smallest"), [("imagenet", 32), ("cifar", 11)])
def test_images_that_would_vanish_are_refused_with_the_smallest_size(
    stem: str, smallest: int
) -> None:
    network = shapes_only(model(stem=stem, image_size=smallest))
    assert network(torch.empty(2, 3, smallest, smallest, device="meta")).shape == (2, 10)
    with pytest.raises(UserError, match=f"at least {smallest} x {smallest} pixels, got 8 x 8"):
        model(stem=stem).build(3, 8, 10)


def test_stochastic_depth_is_that_of_torchvision_unless_configured() -> None:
    def rates(network: torch.nn.Module) -> list[float]:
        return [m.p for m in network.modules() if isinstance(m, StochasticDepth)]

    assert max(rates(shapes_only(model()))) == 0.5
    assert set(rates(shapes_only(model(stochastic_depth=0.0)))) == {0.0}
