"""Losses are those of the authors, and those of slow loops."""

from __future__ import annotations

import math

import pytest
import torch
from initbench_hyperrep.contrast import ProjectionHead, nt_xent, positives_only
from initbench_hyperrep.losses import FLOOR, Yardstick, explained
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tests.plugins.initbench_hyperrep.support import ZOOS, golden, part, zoo_table

LAYERS = ["l0", "l3", "l6", "l9", "l11"]


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("name", ZOOS)
def test_losses_are_those_of_the_authors(name: str, normalised: bool) -> None:
    data = golden(f"{name}_zoo_small")
    expected = part(f"{name}_zoo_small", "loss_lwln/" if normalised else "loss_plain/")
    yardstick = Yardstick.of(zoo_table(name), data["w"], layer_normalised=normalised)
    losses = yardstick.losses(data["y"], data["w"])
    found = dict(zip((f"loss_recon_{x}" for x in LAYERS), losses, strict=True))
    found["loss_recon"] = yardstick.loss(data["y"], data["w"])
    mean = data["w"].mean(0)
    shares = explained(yardstick, data["y"], data["w"], mean)
    found |= dict(zip((*(f"rsq_{x}" for x in LAYERS), "rsq"), shares, strict=True))
    head = ProjectionHead(16, 4, 24, 10)
    head.load_state_dict(part(f"{name}_zoo_small", "head/layers."))
    with torch.no_grad():
        views = torch.cat([head.train()(half) for half in data["z"].chunk(2)])
    found["loss_contrast"] = nt_xent(views)
    found["loss"] = 0.95 * found["loss_recon"] + 0.05 * found["loss_contrast"]
    for key, value in found.items():
        assert float(value) == pytest.approx(float(expected[key]), rel=1e-4), key
    assert expected.keys() - found.keys() == {"z_norm", "z_var"}


@pytest.mark.parametrize("name", ZOOS)
def test_deviations_of_layers_are_those_of_the_authors(name: str) -> None:
    data = golden(f"{name}_zoo_small")
    yardstick = Yardstick.of(zoo_table(name), data["w"], layer_normalised=True)
    torch.testing.assert_close(yardstick.deviations.double(), data["layer_std"], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ZOOS)
def test_the_contrast_of_latents_is_that_of_the_authors(name: str) -> None:
    data = golden(f"{name}_zoo_small")
    expected = float(data["nt_xent_no_head"])
    assert float(nt_xent(data["z"])) == pytest.approx(expected, rel=1e-4)


def slow_nt_xent(views: Tensor, temperature: float) -> float:
    count, total = len(views), 0.0
    for a in range(count):

        def score(b: int, a: int = a) -> float:
            return math.exp(float(cosine_similarity(views[a], views[b], dim=0)) / temperature)

        others = sum(score(b) for b in range(count) if b != a)
        total -= math.log(score((a + count // 2) % count) / others)
    return total / count


def test_the_contrast_is_that_of_a_loop() -> None:
    views = torch.randn(10, 6)
    assert float(nt_xent(views, 0.5)) == pytest.approx(slow_nt_xent(views, 0.5), rel=1e-4)
    same = torch.cat([views[:5], views[:5]])
    assert nt_xent(same) < nt_xent(views)


def test_the_code_pulls_pairs_towards_a_right_angle() -> None:
    first = torch.eye(4)[:2]
    assert float(positives_only(torch.cat([first, first]), 0.1)) == pytest.approx(100)
    assert float(positives_only(torch.cat([first, torch.eye(4)[2:]]))) == pytest.approx(0)


def test_a_layer_that_never_varies_is_divided_by_the_floor() -> None:
    table = zoo_table()
    rows = torch.ones(4, table.size)
    yardstick = Yardstick.of(table, rows, layer_normalised=True)
    torch.testing.assert_close(yardstick.deviations, torch.full((5,), FLOOR))
    assert torch.isfinite(yardstick.loss(rows + 1, rows))


def test_the_mean_network_explains_nothing_and_the_network_itself_everything() -> None:
    table = zoo_table()
    rows = torch.randn(6, table.size)
    yardstick = Yardstick.of(table, rows, layer_normalised=True)
    mean = rows.mean(0)
    torch.testing.assert_close(
        explained(yardstick, mean.expand_as(rows), rows, mean), torch.zeros(6)
    )
    torch.testing.assert_close(explained(yardstick, rows, rows, mean), torch.ones(6))
