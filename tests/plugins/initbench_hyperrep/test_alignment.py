"""Aligned networks compute what they did, and lie as close together as their orders allow."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from initbench_hyperrep.alignment import Matching, closest_orders
from initbench_hyperrep.augmentation import permuted, random_orders
from initbench_hyperrep.losses import Yardstick
from torch import Tensor
from torch.func import functional_call

from tests.plugins.initbench_hyperrep.support import zoo_cnn, zoo_table

MOVABLE = [0, 1, 2, 3]


def vectors(rows: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(rows, zoo_table().size, generator=draws, dtype=torch.float64) * 0.3


def matching(rows: Tensor, movable: list[int] = MOVABLE) -> Matching:
    return Matching(Yardstick.of(zoo_table(), rows, layer_normalised=True), movable)


def distance(yardstick: Yardstick, row: Tensor, other: Tensor) -> float:
    return float(yardstick.loss(row[None], other[None]))


def shuffled(rows: Tensor, seed: int) -> Tensor:
    draws, table = torch.Generator().manual_seed(seed), zoo_table()
    orders = {i: random_orders(len(rows), table.layers[i].neurons, draws) for i in MOVABLE}
    return permuted(rows, table, orders)


@settings(derandomize=True, max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), movable=st.sets(st.sampled_from(MOVABLE)))
def test_aligned_networks_compute_what_they_did_and_are_no_further_away(
    seed: int, movable: set[int]
) -> None:
    rows = vectors(3, seed)
    reference = rows[0]
    found = matching(rows, sorted(movable)).aligned(rows, reference)
    images = torch.randn(2, 1, 28, 28, dtype=torch.float64)
    network = zoo_cnn().double().eval()
    yardstick = matching(rows).yardstick
    for before, after in zip(rows, found, strict=True):
        expected, outputs = (
            functional_call(network, zoo_table().state(x), (images,)) for x in (before, after)
        )
        torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
        assert torch.equal(after.sort().values, before.sort().values)
        assert distance(yardstick, after, reference) <= distance(yardstick, before, reference)
    again = matching(rows, sorted(movable)).aligned(found, reference)
    assert torch.equal(again, found)


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_copy_is_brought_back_from_some_noise(seed: int) -> None:
    rows = vectors(4, seed)
    noise = 0.03 * vectors(4, seed + 1)
    found = matching(rows).aligned(shuffled(rows + noise, seed), rows[0])
    torch.testing.assert_close(found[0], (rows + noise)[0], rtol=0, atol=0)


@pytest.mark.parametrize("layer", MOVABLE[1:3])
def test_no_order_of_a_layer_is_closer_than_the_one_found(layer: int) -> None:
    table, rows = zoo_table(), vectors(3)
    found = matching(rows, [layer]).aligned(rows, rows[0])
    yardstick = matching(rows).yardstick
    for row, aligned in zip(rows, found, strict=True):
        every = [torch.tensor([x]) for x in permutations(range(table.layers[layer].neurons))]
        tried = [permuted(row[None], table, {layer: order})[0] for order in every]
        closest = min(distance(yardstick, x, rows[0]) for x in tried)
        assert distance(yardstick, aligned, rows[0]) == pytest.approx(closest, rel=1e-12)


def test_similarity_is_that_of_what_belongs_to_two_neurons() -> None:
    rows, reference = vectors(2), vectors(1, seed=7)[0]
    found = matching(rows).similarities(rows, reference, 2)
    deviations = matching(rows).yardstick.deviations
    ours, theirs = zoo_table().state(rows[1]), zoo_table().state(reference)
    for i in range(4):
        for j in range(4):
            own = (theirs["conv3.weight"][i] * ours["conv3.weight"][j]).sum()
            own += theirs["conv3.bias"][i] * ours["conv3.bias"][j]
            columns = (slice(None), slice(9 * i, 9 * i + 9)), (slice(None), slice(9 * j, 9 * j + 9))
            read = (theirs["linear1.weight"][columns[0]] * ours["linear1.weight"][columns[1]]).sum()
            expected = own / deviations[2] ** 2 + read / deviations[3] ** 2
            torch.testing.assert_close(found[1, i, j], expected)


def test_copies_of_one_network_agree_on_that_network() -> None:
    one = vectors(1)
    rows = shuffled(one.expand(12, -1), seed=3)
    matched = matching(rows)
    reference = matched.reference(rows, first=5)
    assert torch.equal(matched.aligned(rows, reference), rows[5].expand(12, -1))
    torch.testing.assert_close(reference, rows[5])


def test_networks_lie_closer_to_their_mean_for_being_aligned() -> None:
    rows = shuffled(vectors(1) + 0.5 * vectors(20, seed=1), seed=2)
    matched = matching(rows)
    found = matched.aligned(rows, matched.reference(rows, first=0))
    assert matched.yardstick.spread(found) < 0.5 * matched.yardstick.spread(rows)


def test_neurons_that_are_alike_stay_where_they_are() -> None:
    same = torch.ones(2, 5, 5)
    assert torch.equal(closest_orders(same), torch.arange(5).expand(2, 5))
    assert torch.equal(closest_orders(torch.eye(3).flip(0)[None]), torch.tensor([[2, 1, 0]]))
