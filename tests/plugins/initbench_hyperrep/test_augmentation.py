"""Permuted networks are the same function; erased vectors are zero where they should be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from initbench_hyperrep.augmentation import (
    Erasing,
    Views,
    erased,
    permutable,
    permuted,
    random_orders,
)
from initbench_hyperrep.tokens import TokenTable
from torch import Tensor, nn
from torch.func import functional_call

from initbench.models.cifar_resnet import CifarResNet, CifarResNetConfig
from initbench.models.tracing import anatomy
from tests.plugins.initbench_hyperrep.support import ZOOS, golden, zoo_cnn, zoo_table

GOLDEN_ORDERS = ["perm_layer_0", "perm_layer_3", "perm_layer_6", "perm_layer_9"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits(network: nn.Module, table: TokenTable, vector: Tensor, images: Tensor) -> Tensor:
    return functional_call(network.double().eval(), table.state(vector), (images.double(),))


@pytest.mark.parametrize("name", ZOOS)
def test_permuted_vectors_are_those_of_the_authors(name: str) -> None:
    data, table = golden(f"perm_{name}"), zoo_table(name)
    orders = {i: data[key][None] for i, key in enumerate(GOLDEN_ORDERS)}
    found = permuted(data["flat"][None], table, orders)[0]
    assert torch.equal(found, data["flat_permuted"])
    network = zoo_cnn(*ZOOS[name])
    for vector in (data["flat"], found):
        outputs = logits(network, table, vector, data["x"])
        torch.testing.assert_close(outputs, data["logits"], rtol=0, atol=1e-12)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), chosen=st.sets(st.integers(0, 3)))
def test_no_order_of_any_layers_changes_the_function(seed: int, chosen: set[int]) -> None:
    table, draws = zoo_table(), generator(seed)
    rows = torch.randn(3, table.size, generator=draws, dtype=torch.float64) * 0.3
    images = torch.randn(2, 1, 28, 28, generator=draws)
    orders = {i: random_orders(3, table.layers[i].neurons, draws) for i in chosen}
    network = zoo_cnn()
    for before, after in zip(rows, permuted(rows, table, orders), strict=True):
        expected = logits(network, table, before, images)
        torch.testing.assert_close(
            logits(network, table, after, images), expected, rtol=0, atol=1e-12
        )
        assert torch.equal(after.sort().values, before.sort().values)


def test_every_row_has_an_order_of_its_own() -> None:
    orders = random_orders(1000, 4, generator())
    assert torch.equal(orders.sort(1).values, torch.arange(4).expand(1000, 4))
    share = (orders == torch.arange(4)).double().mean(0)
    torch.testing.assert_close(share, torch.full((4,), 0.25).double(), rtol=0, atol=0.05)


@torch.no_grad()
def test_all_but_the_last_layer_of_the_zoo_cnn_may_be_permuted() -> None:
    network = zoo_cnn()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    found = permutable(network, zoo_table(), torch.randn(4, 1, 28, 28), generator())
    assert found == [0, 1, 2, 3]
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


def test_layers_that_several_others_read_are_left_alone() -> None:
    network = CifarResNet(CifarResNetConfig(depth=20)).build(3, 8, 10)
    table = TokenTable.of(anatomy(network))
    found = permutable(network, table, torch.randn(2, 3, 8, 8), generator())
    first_of_blocks = [i for i, x in enumerate(table.layers) if x.weight.endswith("conv1.weight")]
    assert len(first_of_blocks) == 9
    assert found == first_of_blocks


def test_erased_blocks_have_the_lengths_and_places_they_should() -> None:
    erasing = Erasing()
    found = erased(torch.ones(4000, 500), erasing, generator()) == 0
    hit = found.any(1)
    assert float(hit.double().mean()) == pytest.approx(0.5, abs=0.03)
    blocks = found[hit]
    lengths = blocks.sum(1)
    assert 10 <= int(lengths.min()) <= 12
    assert 155 <= int(lengths.max()) < 165
    edges = blocks.long().diff(dim=1).abs().sum(1) + blocks[:, 0].long()
    assert int(edges.max()) == 2  # one block, which ends before the vector does
    assert not blocks[:, -1].any()


def test_what_fits_nowhere_is_not_erased() -> None:
    rows = torch.ones(50, 10)
    assert torch.equal(erased(rows, Erasing(1.0, 1.0, 1.0), generator()), rows)
    assert torch.equal(erased(rows, Erasing(probability=0.0), generator()), rows)


def test_views_are_drawn_from_the_generator_alone() -> None:
    table = zoo_table()
    rows = torch.randn(5, table.size)
    first, same, other = (
        Views(table, [0, 1, 2, 3], Erasing(), generator(seed)).draw(rows) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
