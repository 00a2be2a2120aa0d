from __future__ import annotations

import numpy as np
import pytest
import torch
from initbench_ghn.architectures import ResNet as TrainingResNet
from initbench_ghn.graph import LONGEST
from initbench_ghn.tracing import trace
from torch import nn

from initbench.api import UnsupportedError
from tests.plugins.initbench_ghn.networks import Cnn3, EdgeCases, ResNet
from tests.plugins.initbench_ghn.support import golden, golden_graph, labelled

GOLDEN = {
    "cifar10_cnn3": (Cnn3, 32),
    "cifar10_resnet20": (ResNet, 32),
    "cifar10_edge_cases": (EdgeCases, 32),
    "imagenet_resnet18_summary": ("resnet18", 224),
    "imagenet_shufflenet_v2_x0_5_summary": ("shufflenet_v2_x0_5", 224),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_graph_is_that_of_the_released_code_node_by_node(name: str) -> None:
    build, size = GOLDEN[name]
    if isinstance(build, str):
        from torchvision import models

        network = models.get_model(build, weights=None)
    else:
        network = build()
    tensors, metadata = golden(f"{name}.safetensors")
    graph = trace(network, (3, size, size))
    assert labelled(graph) == golden_graph(tensors, metadata)
    histogram = np.bincount(graph.distances.ravel().clip(0, 51), minlength=52)[:51]
    if "graph.adj" in tensors:
        theirs = np.bincount(tensors["graph.adj"].numpy().ravel(), minlength=51)
    else:
        theirs = tensors["graph.adj_hist"].numpy()
    assert histogram[1:].tolist() == theirs[1:].tolist()


EXAMPLES = {
    "resnet18": (53, 20, "conv 21 bn 20 sum 8 max_pool 1 glob_avg 1 bias 1 input 1"),
    "resnet50": (127, 32, "conv 54 bn 53 sum 16 max_pool 1 glob_avg 1 bias 1 input 1"),
    "vgg11_bn": (37, 36, "conv 11 bias 11 bn 8 max_pool 5 glob_avg 1 input 1"),
    "mobilenet_v2": (118, 50, "conv 36 sep_conv 17 bn 52 sum 10 glob_avg 1 input 1 bias 1"),
    "densenet121": (
        307,
        21,
        "conv 121 bn 121 concat 58 avg_pool 3 max_pool 1 glob_avg 1 bias 1 input 1",
    ),
    "googlenet": (140, 40, "conv 58 bn 57 max_pool 13 concat 9 glob_avg 1 bias 1 input 1"),
    "convnext_tiny": (161, 39, "conv 41 sep_conv 18 bias 59 ln 23 sum 18 glob_avg 1 input 1"),
    "convnext_base": (305, 50, ""),
    "mobilenet_v3_small": (125, 44, ""),
    "mnasnet1_0": (117, 50, ""),
    "shufflenet_v2_x1_0": (132, 36, ""),
}
"""Nodes, largest distance up to 50, and primitives, as the released code has them."""


def library(name: str) -> nn.Module:
    """Build a model of torchvision without memory for its weights."""
    from torchvision import models

    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    with torch.device("meta"):
        return models.get_model(name, weights=None, **options)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", EXAMPLES)
def test_graphs_of_torchvision_have_the_sizes_of_those_of_the_released_code(name: str) -> None:
    nodes, farthest, primitives = EXAMPLES[name]
    graph = trace(library(name), (3, 224, 224))
    assert len(graph) == nodes
    assert min(int(graph.distances.max()), LONGEST) == farthest
    words = primitives.split()
    counts = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    if counts:
        assert graph.counts() == counts


@pytest.mark.parametrize(("depth", "nodes"), [(20, 51), (32, 81), (44, 111), (56, 141)])
def test_graphs_of_residual_networks_grow_by_thirty(depth: int, nodes: int) -> None:
    assert len(trace(ResNet((depth - 2) // 6), (3, 32, 32))) == nodes
    ours = TrainingResNet(depth, 3, 10, average_pool=False)
    assert len(trace(ours, (3, 32, 32))) == nodes


def test_everything_of_very_deep_and_wide_networks_has_a_node() -> None:
    deep = nn.Sequential(
        nn.Conv2d(3, 2, 3), *(nn.Conv2d(2, 2, 1, bias=False) for _ in range(600)), nn.Flatten()
    )
    graph = trace(deep, (3, 4, 4))
    assert len(graph) == 603
    assert graph.without_node == {}
    with torch.device("meta"):
        wide = nn.Sequential(nn.Flatten(), nn.Linear(48, 50_000), nn.ReLU(), nn.Linear(50_000, 9))
    assert trace(wide, (3, 4, 4)).counts() == {"conv": 2, "input": 1, "bias": 2}


@pytest.mark.parametrize(
    "name", ["resnet10t", "convnext_atto", "regnety_002", "nf_regnet_b0", "levit_128s"]
)
def test_subclasses_of_timm_have_the_nodes_of_what_they_do(name: str) -> None:
    timm = pytest.importorskip("timm")
    graph = trace(timm.create_model(name), (3, 224, 224))
    others = {parameter.rpartition(".")[2] for parameter in graph.without_node}
    assert others <= {"gamma", "gain", "skipinit_gain", "attention_biases"}


def test_a_network_that_cannot_see_such_images_says_so() -> None:
    with pytest.raises(UnsupportedError, match=r"could not be traced with images of \(1, 8, 8\)"):
        trace(Cnn3(), (1, 8, 8))
