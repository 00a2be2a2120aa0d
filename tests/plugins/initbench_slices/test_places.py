"""Which layer learns from which."""

from __future__ import annotations

import pytest
import torch
from initbench_slices.places import extrapolation, in_order, nearest, places_of, why_not_slices

from initbench.models.cifar_resnet import CifarResNet
from initbench.models.tracing import anatomy


def resnet(depth: int) -> list:
    network = CifarResNet(CifarResNet.Config(depth=depth)).build(3, 32, 10)
    return places_of(anatomy(network, torch.zeros(2, 3, 32, 32)))


def test_resnet20_has_the_published_layers() -> None:
    slices = [place.slices for place in resnet(20)]
    assert slices == [48, *[256] * 6, 512, *[1024] * 5, 2048, *[4096] * 5]


def test_a_network_of_the_zoos_depth_learns_layer_by_layer() -> None:
    places = resnet(20)
    assert [nearest(place, places) for place in places] == list(range(19))
    assert all(extrapolation(place, place) == "" for place in places)


def test_a_deeper_network_learns_from_the_same_stage_in_order() -> None:
    trained, deeper = resnet(20), resnet(56)
    sources = [nearest(place, trained) for place in deeper]
    assert sources == sorted(sources)
    assert {trained[i].shape[0] for i in sources[:19]} == {16}
    for place, source in zip(deeper, sources, strict=True):
        assert trained[source].shape[0] == place.shape[0]
    assert set(sources) == set(range(19))
    assert "nearest in relative depth" in extrapolation(deeper[4], trained[sources[4]])


def test_another_width_or_kind_is_named() -> None:
    trained = in_order([("a", (8, 3, 3, 3)), ("b", (8, 8, 3, 3))])
    wider, depthwise = in_order([("c", (16, 3, 3, 3)), ("d", (8, 1, 3, 3))])
    assert nearest(wider, trained) == 0
    assert "another width" in extrapolation(wider, trained[0])
    assert "not depthwise" in extrapolation(depthwise, trained[1])


def test_other_kernels_have_no_source() -> None:
    trained = in_order([("a", (8, 3, 3, 3))])
    assert nearest(in_order([("b", (8, 3, 5, 5))])[0], trained) is None


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((8, 3), "no two-dimensional kernel"), ((8, 3, 1, 1), "1 x 1"), ((8, 3, 1, 3), "1 x 3"),
     ((8, 3, 3, 3), ""), ((8, 3, 3, 3, 3), "no two-dimensional kernel")],
)  # fmt: skip
def test_why_a_weight_has_no_slices(shape: tuple[int, ...], reason: str) -> None:
    assert why_not_slices(shape).startswith(reason)
    assert bool(why_not_slices(shape)) == bool(reason)
