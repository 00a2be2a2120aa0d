"""The anatomy of networks that everybody knows, held against what their papers say."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from initbench.models.anatomy import Anatomy, LayerKind, LayerRole
from initbench.models.tracing import anatomy
from tests.models.building import build, model_of, shapes_only

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)


def from_timm(*names: str) -> list[object]:
    return [pytest.param(f"timm/{name}", marks=needs_timm) for name in names]


NETWORKS = [
    "all_cnn_c",
    "cifar_resnet",
    "mlp",
    "mobilenet_v1",
    "zoo_cnn",
    "torchvision/densenet121",
    "torchvision/efficientnet_b0",
    "torchvision/googlenet",
    "torchvision/maxvit_t",
    "torchvision/mobilenet_v3_small",
    "torchvision/resnet18",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/squeezenet1_1",
    "torchvision/swin_t",
    "torchvision/swin_v2_t",
    "torchvision/vgg11_bn",
    "torchvision/vit_b_16",
    *from_timm(
        "convnextv2_atto",
        "hrnet_w18_small",
        "mixer_s32_224",
        "mobilenetv3_small_050",
        "nfnet_f0",
        "regnety_002",
        "resnet18",
        "swin_tiny_patch4_window7_224",
        "vit_tiny_patch16_224",
    ),
]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_named_once_between_one_stem_and_one_head(name: str) -> None:
    network = shapes_only(model_of(name), channels=1, classes=7)
    found = anatomy(network)
    assert found.traced
    assert {layer.activation_from for layer in found} == {"traced"}
    assert named(found) == sorted(name for name, _ in network.named_parameters())
    stem, *_, head = found.weight_layers()
    assert [layer for layer in found if layer.role is LayerRole.STEM] == [stem]
    assert [layer for layer in found if layer.role is LayerRole.HEAD] == [head]
    assert stem.shape[1] == 1 or stem.kind is LayerKind.LINEAR
    assert head.shape[0] == 7


def named(found: Anatomy) -> list[str]:
    return sorted(
        name for layer in found for name in (layer.weight, layer.bias, *layer.others) if name
    )


# What the papers say follows each layer; where a sum does, what follows that.
EXPECTED = {
    "torchvision/resnet18": {
        "conv1": "relu",
        "layer1.0.conv1": "relu",
        "layer1.0.conv2": "relu",  # after the sum
        "layer2.0.downsample.0": "relu",  # the other summand
        "fc": "identity",
    },
    "torchvision/vgg11_bn": {
        "features.0": "relu",
        "features.25": "relu",
        "classifier.0": "relu",
        "classifier.3": "relu",
        "classifier.6": "identity",
    },
    "torchvision/densenet121": {
        "features.conv0": "relu",
        "features.denseblock1.denselayer1.conv1": "relu",
        "features.denseblock1.denselayer1.conv2": "relu",  # of the next layer, which comes first
        "features.transition1.conv": "relu",
        "classifier": "identity",
    },
    "torchvision/efficientnet_b0": {
        "features.0.0": "silu",
        "features.1.0.block.0.0": "silu",  # depthwise
        "features.1.0.block.1.fc1": "silu",
        "features.1.0.block.1.fc2": "sigmoid",  # the gate
        "features.1.0.block.2.0": "identity",  # linear bottleneck
        "features.2.0.block.0.0": "silu",
        "classifier.1": "identity",
    },
    "torchvision/mobilenet_v3_small": {
        "features.0.0": "hardswish",
        "features.1.block.0.0": "relu",
        "features.1.block.1.fc1": "relu",
        "features.1.block.1.fc2": "hardsigmoid",
        "features.1.block.2.0": "identity",
        "features.12.0": "hardswish",
        "classifier.0": "hardswish",
        "classifier.3": "identity",
    },
    "torchvision/shufflenet_v2_x0_5": {
        "conv1.0": "relu",
        "stage2.0.branch1.0": "identity",  # depthwise
        "stage2.0.branch1.2": "relu",
        "stage2.0.branch2.0": "relu",
        "stage2.0.branch2.3": "identity",
        "conv5.0": "relu",
        "fc": "identity",
    },
    "torchvision/squeezenet1_1": {
        "features.0": "relu",
        "features.3.squeeze": "relu",
        "features.3.expand3x3": "relu",
        "classifier.1": "relu",  # as in the paper, before the pooling
    },
    "torchvision/swin_t": {
        "features.0.0": "identity",
        "features.1.0.attn.qkv": "identity",  # a softmax is an output
        "features.1.0.attn.proj": "identity",
        "features.1.0.mlp.0": "gelu",
        "features.1.0.mlp.3": "identity",
        "features.2.reduction": "identity",
        "head": "identity",
    },
    "torchvision/swin_v2_t": {
        "features.1.0.attn.cpb_mlp.0": "relu",
        "features.1.0.attn.cpb_mlp.2": "sigmoid",  # of the position biases
        "features.1.0.attn": "identity",
    },
    "timm/regnety_002": {
        "stem.conv": "relu",
        "s1.b1.conv1.conv": "relu",
        "s1.b1.conv2.conv": "relu",  # grouped
        "s1.b1.se.fc1": "relu",
        "s1.b1.se.fc2": "sigmoid",
        "s1.b1.conv3.conv": "relu",  # after the sum
        "head.fc": "identity",
    },
    "timm/mixer_s32_224": {
        "stem.proj": "identity",
        "blocks.0.mlp_tokens.fc1": "gelu",
        "blocks.0.mlp_tokens.fc2": "identity",
        "blocks.0.mlp_channels.fc1": "gelu",
        "head": "identity",
    },
    "timm/vit_tiny_patch16_224": {
        "patch_embed.proj": "identity",
        "blocks.0.attn.qkv": "identity",
        "blocks.0.attn.proj": "identity",
        "blocks.0.mlp.fc1": "gelu",
        "blocks.0.mlp.fc2": "identity",
        "head": "identity",
    },
    "timm/efficientnet_b0": {
        "conv_stem": "silu",
        "blocks.0.0.conv_dw": "silu",
        "blocks.0.0.se.conv_reduce": "silu",
        "blocks.0.0.se.conv_expand": "sigmoid",
        "blocks.0.0.conv_pw": "identity",
        "classifier": "identity",
    },
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=needs_timm) if x.startswith("timm/") else x for x in EXPECTED],
)
def test_activations_are_those_of_the_paper(name: str) -> None:
    found = anatomy(shapes_only(model_of(name)))
    activations = {layer.name: layer.activation for layer in found}
    assert {layer: activations[layer] for layer in EXPECTED[name]} == EXPECTED[name]


def test_depthwise_and_grouped_convolutions_count_one_group() -> None:
    layers = {x.name: x for x in anatomy(shapes_only(model_of("torchvision/efficientnet_b0")))}
    depthwise = layers["features.1.0.block.0.0"]
    assert (depthwise.groups, depthwise.fan_in, depthwise.fan_out) == (32, 9, 9)
    layers = {x.name: x for x in anatomy(shapes_only(model_of("torchvision/resnext50_32x4d")))}
    grouped = layers["layer1.0.conv2"]
    assert (grouped.groups, grouped.fan_in, grouped.fan_out) == (32, 36, 36)


@needs_timm
@pytest.mark.parametrize("name", ["mobilevit_xxs", "tiny_vit_5m_224"])
def test_what_torch_fx_cannot_trace_is_guessed_and_with_an_example_traced(name: str) -> None:
    model = model_of(f"timm/{name}")
    network = build(model, channels=1, classes=7)
    guessed = anatomy(network)
    assert not guessed.traced
    assert "torch.fx cannot trace the network" in guessed.note
    size = model.image_size() or 0
    found = anatomy(network, torch.zeros(2, 1, size, size))
    assert found.traced
    assert {layer.activation_from for layer in found} == {"traced"}
    assert named(found) == named(guessed)
    stem, *_, head = found.weight_layers()
    assert (stem.shape[1], head.shape[0]) == (1, 7)
    assert (stem.role, head.role) == (LayerRole.STEM, LayerRole.HEAD)
