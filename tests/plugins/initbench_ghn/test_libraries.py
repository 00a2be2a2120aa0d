"""Models of libraries: everything is predicted, or listed with what becomes of it (docs/ghn.md)."""

from __future__ import annotations

import pytest
import torch
from initbench_ghn.account import PREDICTED, account
from initbench_ghn.architecture import Architecture
from initbench_ghn.network import GHN
from initbench_ghn.tracing import trace

from initbench.api import example_network

TORCHVISION = {
    "alexnet": 0.0,
    "vgg11_bn": 0.0,
    "squeezenet1_1": 0.0,
    "mobilenet_v3_small": 0.0,
    "efficientnet_b0": 0.0,
    "densenet121": 0.0,
    "shufflenet_v2_x1_0": 0.0,
    "vit_b_16": 0.18,
    "swin_t": 0.08,
    "convnext_tiny": 0.02,
}
TIMM = {
    "resnet18": 0.0,
    "efficientnet_b0": 0.0,
    "mobilenetv3_small_100": 0.0,
    "mixer_s32_224": 0.0,
    "regnety_002": 0.0,
    "ghostnet_100": 0.0,
    "vit_tiny_patch16_224": 0.66,
    "poolformer_s12": 0.17,
    "levit_128s": 0.07,
    "convnext_atto": 0.05,
}
"""The percentage of values that are not predicted, with 1,000 classes."""


@pytest.mark.parametrize(
    ("model", "left"),
    [
        *((f"torchvision/{name}", left) for name, left in TORCHVISION.items()),
        *((f"timm/{name}", left) for name, left in TIMM.items()),
    ],
)
def test_what_is_not_predicted_is_listed_and_is_little(model: str, left: float) -> None:
    if model.startswith("timm/"):
        pytest.importorskip("timm")
    example = example_network(model, classes=1000)
    graph = trace(example.network, example.image)
    shapes = {name: tuple(p.shape) for name, p in example.network.named_parameters()}
    found = account(graph, example.anatomy, shapes)
    assert sum(share.tensors for share in found.shares) == len(shapes)
    assert all(share.reason for share in found.shares if share.rule != PREDICTED)
    predicted = sum(share.values for share in found.shares if share.rule == PREDICTED)
    assert 100 * (1 - predicted / found.values) == pytest.approx(left, abs=0.006)
    torch.manual_seed(0)
    with torch.no_grad():
        (tiles,) = GHN(Architecture(hid=8, max_shape=(16, 16, 7, 7)))([graph])
    assert tiles.keys() == shapes.keys() - graph.without_node.keys()
    assert all(tile.isfinite().all() for tile in tiles.values())
