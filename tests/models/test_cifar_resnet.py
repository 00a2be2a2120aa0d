from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from initbench.models.blocks import PadShortcut
from initbench.models.cifar_resnet import CifarResNet
from initbench.models.tracing import anatomy


def build(classes: int = 10, **config: Any) -> torch.nn.Module:
    return CifarResNet(CifarResNet.Config(**config)).build(3, 32, classes)


@pytest.mark.parametrize(
    ("depth", "a_10", "a_2", "b_10"),
    [
        (20, 269_722, 269_202, 272_474),
        (32, 464_154, 463_634, 466_906),
        (44, 658_586, 658_066, 661_338),
        (56, 853_018, 852_498, 855_770),
    ],
)
def test_has_the_published_number_of_parameters(depth: int, a_10: int, a_2: int, b_10: int) -> None:
    def count(classes: int, shortcut: str) -> int:
        return sum(p.numel() for p in build(classes, depth=depth, shortcut=shortcut).parameters())

    assert (count(10, "A"), count(2, "A"), count(10, "B")) == (a_10, a_2, b_10)


def test_without_batch_norm_convolutions_have_biases() -> None:
    """As many as batch norm has shifts, and no scales: 688 parameters less."""
    network = build(norm="none")
    assert sum(p.numel() for p in network.parameters()) == 269_722 - 688
    assert {layer.kind for layer in anatomy(network)} == {"conv", "linear"}
    assert all(layer.activation == "relu" for layer in anatomy(network) if layer.kind == "conv")


def test_scaled_branches_count_the_blocks() -> None:
    """With weights of zero but in the last convolution of a block, the branch is its bias."""
    network = build(norm="none", scaled_branches=True)
    block = network.stage1_block2
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(block.conv2.bias)
    x = torch.rand(2, 16, 8, 8)
    torch.testing.assert_close(block(x), x + 9**-0.5)
    for plain, scaled in ((20, 9), (56, 27)):
        config = {"depth": plain, "scaled_branches": True}
        assert build(**config).stage3_block3.scale == scaled**-0.5
        assert build(depth=plain).stage3_block3.scale == 1


def test_convolutions_come_in_the_published_order() -> None:
    shapes = [layer.shape for layer in anatomy(build()) if layer.kind == "conv"]
    assert shapes == [
        (16, 3, 3, 3),
        *[(16, 16, 3, 3)] * 6,
        (32, 16, 3, 3),
        *[(32, 32, 3, 3)] * 5,
        (64, 32, 3, 3),
        *[(64, 64, 3, 3)] * 5,
    ]


@pytest.mark.parametrize("size", [7, 28, 32])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_takes_images_of_any_size(size: int, shortcut: str) -> None:
    network = build(shortcut=shortcut)
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize(("width_in", "width_out"), [(16, 32), (32, 64)])
def test_shortcut_a_subsamples_and_pads_with_exact_zeros(width_in: int, width_out: int) -> None:
    x = torch.randn(2, width_in, 6, 6)
    out = PadShortcut(width_in, width_out, stride=2)(x)
    quarter = width_out // 4
    assert out.shape == (2, width_out, 3, 3)
    assert torch.equal(out[:, quarter:-quarter], x[:, :, ::2, ::2])
    assert not out[:, :quarter].any()
    assert not out[:, -quarter:].any()


def test_only_the_first_blocks_of_later_stages_change_the_shape() -> None:
    network = build(shortcut="B")
    projections = [name for name, p in network.named_parameters() if "shortcut.0" in name]
    assert projections == ["stage2_block1.shortcut.0.weight", "stage3_block1.shortcut.0.weight"]


def test_equals_a_forward_pass_written_by_hand() -> None:
    functional = torch.nn.functional
    network = build(depth=20).train()
    w = dict(network.named_parameters())
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def convolve(x: torch.Tensor, conv: str, norm: str, stride: int = 1) -> torch.Tensor:
        x = functional.conv2d(x, w[f"{conv}.weight"], None, stride, 1)
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        x = (x - mean) / torch.sqrt(var + 1e-5)
        return x * w[f"{norm}.weight"].view(-1, 1, 1) + w[f"{norm}.bias"].view(-1, 1, 1)

    x = torch.relu(convolve(images, "conv", "norm"))
    for stage in (1, 2, 3):
        for block in (1, 2, 3):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if stride == 2:
                halved = x[:, :, ::2, ::2]
                zeros = torch.zeros_like(halved)[:, : x.shape[1] // 2]
                shortcut = torch.cat([zeros, halved, zeros], dim=1)
            out = torch.relu(convolve(x, f"{name}.conv1", f"{name}.norm1", stride))
            x = torch.relu(convolve(out, f"{name}.conv2", f"{name}.norm2") + shortcut)
    logits = x.mean((2, 3)) @ w["head.weight"].T + w["head.bias"]
    torch.testing.assert_close(network(images), logits, rtol=1e-4, atol=1e-4)


def test_channels_last_is_as_near_to_exact_gradients_as_the_contiguous_layout() -> None:
    model = CifarResNet(CifarResNet.Config())
    torch.manual_seed(0)
    plain = model.build(3, 32, 10)
    laid_out = model.laid_out(copy.deepcopy(plain))
    assert laid_out.conv.weight.is_contiguous(memory_format=torch.channels_last)
    images, labels = torch.randn(32, 3, 32, 32), torch.arange(32) % 10

    def gradients(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        return torch.cat([p.grad.contiguous().flatten().double() for p in network.parameters()])

    exact = gradients(copy.deepcopy(plain).double(), images.double())
    errors = [(gradients(network, images) - exact).norm() for network in (laid_out, plain)]
    assert errors[0] < 3 * errors[1]
    assert errors[0] < 1e-2 * exact.norm()


def test_the_layout_is_for_the_cpu_only() -> None:
    with torch.device("meta"):
        elsewhere = CifarResNet(CifarResNet.Config()).laid_out(build())
    assert elsewhere.conv.weight.is_contiguous()
