"""Stacked layers do what PyTorch's layers do, model by model."""

from __future__ import annotations

import pytest
import torch
from initbench_slices.stacking import (
    BLOCK_ROWS,
    Blocks,
    convolution,
    convolve,
    draw,
    elu,
    look_up,
    parts,
    pointwise,
    unpack,
)
from torch import Tensor
from torch.nn import functional

MODELS, ROWS = 2, 3


def planes(x: Tensor, side: int) -> Tensor:
    """(rows, positions, channels) -> (rows, channels, side, side)."""
    return x.mT.unflatten(2, (side, side))


@pytest.mark.parametrize(
    ("kernel", "side", "padding"), [(3, 3, 1), (3, 5, 1), (3, 2, 1), (3, 3, 0), (2, 2, 0)]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_is_pytorchs(kernel: int, side: int, padding: int, transposed: bool) -> None:
    starts = convolution("layer", 4, 6, kernel, kernel, transposed=transposed)
    p = unpack(draw(starts, [torch.Generator().manual_seed(i) for i in range(MODELS)]), starts)
    x = torch.randn(MODELS, ROWS, side**2, 6)
    apply = functional.conv_transpose2d if transposed else functional.conv2d
    for i in range(MODELS):
        theirs = apply(
            planes(x[i], side), p["layer.weight"][i], p["layer.bias"][i], padding=padding
        )
        out = theirs.shape[-1]
        ours = convolve(x, p, "layer", (side, out), padding, transposed=transposed)[i]
        torch.testing.assert_close(planes(ours, out), theirs, rtol=1e-5, atol=1e-6)


def test_a_pointwise_convolution_is_pytorchs() -> None:
    starts = convolution("layer", 4, 6, 1, 1)
    p = unpack(draw(starts, [torch.Generator().manual_seed(i) for i in range(MODELS)]), starts)
    x = torch.randn(MODELS, ROWS, 9, 6)
    for i in range(MODELS):
        theirs = functional.conv2d(planes(x[i], 3), p["layer.weight"][i], p["layer.bias"][i])
        torch.testing.assert_close(planes(pointwise(x, p, "layer")[i], 3), theirs)


@pytest.mark.parametrize("transposed", [False, True])
def test_layers_start_within_the_bounds_of_pytorch(transposed: bool) -> None:
    torch.manual_seed(0)
    layer_type = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    module = layer_type(40, 20, 3)
    starts = convolution("layer", 20, 40, 3, 3, transposed=transposed)
    p = unpack(draw(starts, [torch.Generator().manual_seed(0)]), starts)
    for name in ("weight", "bias"):
        ours, theirs = p[f"layer.{name}"][0], getattr(module, name)
        assert ours.shape == theirs.shape
        assert abs(ours.abs().max() / theirs.abs().max() - 1) < 0.15
        assert abs(float(ours.mean())) < 0.03


def test_look_up_takes_the_rows_of_each_table() -> None:
    tables, indices = torch.randn(2, 7, 3), torch.randint(7, (2, 4, 5))
    expected = torch.stack([table[index] for table, index in zip(tables, indices, strict=True)])
    assert torch.equal(look_up(tables, indices), expected)


def test_blocks_give_back_what_was_packed() -> None:
    counts = [1, BLOCK_ROWS, BLOCK_ROWS + 1]
    blocks = Blocks([5, 3, 3], counts)
    rows = [torch.randn(count, 2) for count in counts]
    packed = blocks.pack(rows)
    assert packed.shape == (4, BLOCK_ROWS, 2)
    assert blocks.models == [5, 3, 3, 3]
    for before, after in zip(rows, blocks.unpack(packed.flatten(0, 1)), strict=True):
        assert torch.equal(before, after)


# Of each block; 7 has more than are computed at once, 1 and 2 have one each, 5 and 6 two.
OF_BLOCKS = [*[7] * 40, 1, 2, *[5] * 2, *[6] * 2, *[8] * 9, 1]


@pytest.mark.parametrize(
    ("device", "models", "sizes"),
    [
        ("cpu", [[7], [7], [7], [1, 2], [5, 6], [8], [1]], [16, 16, 8, 2, 4, 9, 1]),
        ("meta", [OF_BLOCKS[:50], OF_BLOCKS[50:]], [50, 6]),
    ],
)
def test_parts_have_all_blocks_once(device: str, models: list[list[int]], sizes: list[int]) -> None:
    found = parts(OF_BLOCKS, torch.device(device), 50)
    assert [list(part.models) for part in found] == models
    numbers = torch.arange(len(OF_BLOCKS)).view(-1, 1, 1).expand(-1, 3, 2)
    rows = [part.rows(numbers) for part in found]
    assert [len(x.flatten(0, 1)) for x in rows] == [3 * size for size in sizes]
    assert torch.equal(torch.cat([x.flatten(0, 1) for x in rows]), numbers.flatten(0, 1))
    for part, own in zip(found, rows, strict=True):
        for model, its in zip(part.models, own, strict=True):
            assert {OF_BLOCKS[int(i)] for i in its.flatten()} == {model}


@torch.no_grad()
def test_elu_is_pytorchs_with_and_without_gradients() -> None:
    x = torch.cat([torch.randn(1000) * 5, torch.zeros(1), torch.randn(1000) * 1e-6])
    torch.testing.assert_close(elu(x), functional.elu(x), rtol=0, atol=1.2e-7)
    with torch.enable_grad():
        assert torch.equal(elu(x), functional.elu(x))
