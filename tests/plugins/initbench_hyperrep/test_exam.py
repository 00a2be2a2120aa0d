"""Accuracies are those of the networks themselves, and statistics those of the images."""

from __future__ import annotations

import pytest
import torch
from initbench_hyperrep.exam import Exam, estimate_statistics, has_statistics, pixels
from initbench_hyperrep.picture import BINS, HEIGHT, histograms
from initbench_hyperrep.tokens import TokenTable
from torch import nn

from initbench.models.tracing import anatomy
from tests.plugins.initbench_hyperrep.support import splits, zoo_cnn, zoo_table


def normed() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9), nn.Flatten(), nn.Linear(16, 10)
    )


def test_accuracy_is_that_of_the_network_of_the_vector() -> None:
    network, data = zoo_cnn(), splits(count=40)
    other = {name: torch.randn_like(x) for name, x in network.named_parameters()}
    exam = Exam(network, zoo_table(), data, statistics=0)
    found = exam.accuracy(zoo_table().flatten(other))
    network.load_state_dict(other)
    with torch.no_grad():
        chosen = network((data.validation.images.float() / 255 - 0.5) / 0.25).argmax(1)
    assert found == pytest.approx(float((chosen == data.validation.labels).double().mean()))


@torch.no_grad()
def test_statistics_are_those_of_the_images() -> None:
    network, images = normed().train(), torch.randn(30, 1, 4, 4)
    assert has_statistics(network)
    assert not has_statistics(zoo_cnn())
    estimate_statistics(network, images)
    norm = network[1]
    inputs = network[0](images)
    torch.testing.assert_close(norm.running_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, inputs.transpose(0, 1).flatten(1).var(1))
    assert all(module.training for module in network.modules())
    assert norm.momentum == 0.1


def test_networks_with_norms_are_examined_with_statistics_of_their_own() -> None:
    data = splits(size=4)
    network = normed()
    table = TokenTable.of(anatomy(network))
    vector = table.flatten(dict(network.named_parameters()))
    exam = Exam(network, table, data, statistics=30)
    found = exam.accuracy(vector)
    estimate_statistics(network, pixels(data.train, data, 30)[0])
    with torch.no_grad():
        chosen = network.eval()(pixels(data.validation, data, 30)[0]).argmax(1)
    assert found == pytest.approx(float((chosen == data.validation.labels).double().mean()))


def test_a_histogram_has_the_height_of_the_shares() -> None:
    table = zoo_table()
    rows = torch.randn(20, table.size)
    found = histograms(table, rows, rows, torch.full_like(rows, 0.1))
    assert len(found) == len(table.layers)
    original, same, constant = next(iter(found.values()))
    assert original.shape == (HEIGHT, BINS)
    assert torch.equal(original, same)
    assert int((constant.sum(0) > 0).sum()) == 1, "all weights are in one bin"
    assert float(constant.sum()) == HEIGHT


def test_weights_that_never_vary_have_a_histogram_too() -> None:
    table = zoo_table()
    rows = torch.ones(3, table.size)
    assert all(x.isfinite().all() for x in histograms(table, rows, rows, rows).values())
