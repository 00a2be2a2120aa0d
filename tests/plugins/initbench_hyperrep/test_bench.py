"""Both sides of the benchmark compute the same."""

from __future__ import annotations

import torch
from initbench_hyperrep.augmentation import permuted
from initbench_hyperrep.bench import PERMUTABLE, ZOO_CNN, permutation, trainer
from initbench_hyperrep.tokens import TokenTable

from initbench.models.cifar_resnet import CifarResNet, CifarResNetConfig
from initbench.models.tracing import anatomy
from tests.plugins.initbench_hyperrep.support import zoo_table


def test_the_table_is_that_of_the_zoo_cnn() -> None:
    assert zoo_table() == ZOO_CNN


def test_batched_permutations_are_those_of_an_index_for_every_weight() -> None:
    resnet = CifarResNet(CifarResNetConfig(depth=20)).build(3, 32, 10)
    for table, layers in ((ZOO_CNN, PERMUTABLE), (TokenTable.of(anatomy(resnet)), [1, 3, 9, 17])):
        orders = {i: torch.randperm(table.layers[i].neurons) for i in layers}
        row = torch.randn(table.size)
        batched = permuted(row[None], table, {i: order[None] for i, order in orders.items()})
        assert torch.equal(batched[0], row[permutation(table, orders)])


def test_both_sides_embed_alike_and_learn() -> None:
    sides = [trainer("small", "cpu", plain=plain) for plain in (False, True)]
    rows = torch.randn(4, ZOO_CNN.size)
    first, second = (side.autoencoder.encoder.embedded(rows) for side in sides)
    torch.testing.assert_close(first, second)
    for side in sides:
        before = side.autoencoder.encoder.compression.clone()
        assert side.step(rows) < float("inf")
        assert not torch.equal(side.autoencoder.encoder.compression, before)
