"""Scores are those of a slow loop over images, and looking changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from initbench.data.resident import ResidentData
from initbench.training import evaluation
from initbench.training.evaluation import evaluate, has_batch_norm
from tests.training.networks import data, equal, network


def _slow_scores(net: nn.Module, resident: ResidentData) -> tuple[float, float]:
    hits, loss = 0, 0.0
    split = resident.validation
    for image, label in zip(split.images, split.labels.tolist(), strict=True):
        logits = net(resident.normalise(image[None]))[0].tolist()
        hits += logits.index(max(logits)) == label
        loss += math.log(sum(math.exp(x) for x in logits)) - logits[label]
    return hits / len(split), loss / len(split)


@pytest.mark.parametrize("pixels", [1, 4 * 36, 1_000_000])  # batches of 1, 4 and all images
def test_scores_are_those_of_a_loop_over_images(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", pixels)
    net, resident = network(), data()
    scores = evaluate(net, resident, "validation")
    accuracy, loss = _slow_scores(net.eval(), resident)
    assert scores.accuracy == accuracy
    assert scores.loss == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_modes_and_statistics_are_left_as_they_were(batch_statistics: bool) -> None:
    net = network(0, nn.BatchNorm2d(4), nn.Dropout())
    net.train()
    net[2].eval()  # as a network with a frozen part
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    evaluate(net, data(), "validation", batch_statistics=batch_statistics)
    assert [module.training for module in net] == [True, True, False, True, True, True]
    assert net[1].track_running_stats
    assert equal(net.state_dict(), before)


def test_modes_are_restored_when_a_network_raises() -> None:
    net = network(0, nn.BatchNorm2d(5))
    with pytest.raises(RuntimeError):
        evaluate(net, data(), "validation", batch_statistics=True)
    assert net[1].training
    assert net[1].track_running_stats


def test_batch_statistics_normalise_with_the_batch() -> None:
    net, resident = network(0, nn.BatchNorm2d(4)), data()
    net[1].running_mean.fill_(50.0)  # as wrong as those of predicted weights
    hidden = net[0](resident.normalise(resident.validation.images))
    mean, var = hidden.mean((0, 2, 3), keepdim=True), hidden.var((0, 2, 3), False, keepdim=True)
    logits = net[2:]((hidden - mean) / (var + 1e-5).sqrt())
    expected = nn.functional.cross_entropy(logits, resident.validation.labels).item()
    scores = evaluate(net, resident, "validation", batch_statistics=True)
    assert scores.loss == pytest.approx(expected, rel=1e-5)
    assert evaluate(net, resident, "validation").loss != pytest.approx(expected, rel=1e-2)


def test_only_batch_norm_makes_a_difference() -> None:
    assert has_batch_norm(network(0, nn.BatchNorm2d(4)))
    assert not has_batch_norm(network(0, nn.GroupNorm(2, 4)))


def test_a_network_of_nans_gets_nothing_right() -> None:
    net = network()
    with torch.no_grad():
        net[0].weight.fill_(math.nan)
    scores = evaluate(net, data(), "validation")
    assert scores.accuracy == 0
    assert math.isnan(scores.loss)


def test_large_logits_have_a_finite_loss() -> None:
    net = network()
    with torch.no_grad():
        net[-1].weight.mul_(1e30)
    assert math.isfinite(evaluate(net, data(), "validation").loss)
